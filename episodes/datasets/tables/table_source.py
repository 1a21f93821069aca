"""A data set made of tables: their columns are chosen, and their rows become labelled images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from episodes.datasets.source import Content, Part, Payload, Source, few
from episodes.datasets.stamps import Stamp, stamp
from episodes.datasets.tables.columns import (
    LabelColumn,
    encoded_image_column,
    label_column,
    no_label_column,
    split_column,
)
from episodes.datasets.tables.files import not_used
from episodes.datasets.tables.image_files import ImageFiles
from episodes.datasets.tables.images import images_of, path_column
from episodes.datasets.tables.labels import (
    classes_of,
    has_labels,
    labels_of,
    names_beside,
    notes_on_missing,
)
from episodes.datasets.tables.row_parts import by_column
from episodes.datasets.tables.rows import Rows, note_on_unlisted, split, without_repeats
from episodes.datasets.tables.table import Table
from episodes.errors import UserError


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of a data set that have a meaning.

    Attributes:
        image: column of the images.
        label: column of the labels.
        split: column of the part of each row; None if there is none.
    """

    image: str
    label: LabelColumn
    split: str | None


def source_of_tables(
    name: str,
    folder: Path,
    train: Sequence[Table],
    tests: Sequence[Sequence[Table]],
    notes: Sequence[str] = (),
    also_read: Sequence[Path] = (),
    list_all: bool = True,
    files: ImageFiles | None = None,
) -> Source:
    """Return the data set that tables make up.

    Args:
        name: name of the data set.
        folder: its folder; names of files are relative to it.
        train: tables of the training part, or of everything.
        tests: tables of each part that can be the test part, best first; the first with labels is.
        notes: sentences for the user.
        also_read: files beside the tables that decide what is read.
        list_all: whether image files that no row names are noted in the whole folder, and not only
            beside those that are named.
        files: the image files of the folder, if they have been listed.

    Raises:
        UserError: the columns of images or labels are unclear, or the images are not there.
    """
    files = files or ImageFiles(folder)
    columns = columns_of(train[0], files)
    all_notes = [*notes, *([columns.label.note] if columns.label.note else [])]
    all_notes += notes_on_missing(train, columns.label.name)
    for table in train:
        _check_columns(table, train[0], columns)
    test: Sequence[Table] = ()
    for tables in tests:
        paths = [table.path for table in tables]
        if test:
            all_notes.append(not_used(paths, folder))
        elif any(has_labels(table, columns.label.name) for table in tables):
            test = tables
        else:
            all_notes.append(f"{not_used(paths, folder)}: it has no labels")
    for table in test:
        _check_columns(table, train[0], columns)
    rows = [Rows(table, images_of(table, columns.image, files)) for table in train]
    test_rows = [Rows(table, images_of(table, columns.image, files)) for table in test]
    if not test_rows:
        rows, test_rows, split_notes = split(rows, columns.split, columns.label.name)
        all_notes += split_notes
    rows, repeat_notes = without_repeats(rows, columns.label.name)
    test_rows, more_notes = without_repeats(test_rows, columns.label.name)
    all_notes += [*repeat_notes, *more_notes]
    all_notes += note_on_unlisted(files, [*rows, *test_rows], everywhere=list_all)
    paths = [table.path for table in (*train, *test)]
    marks = _stamps(folder, [*paths, *also_read], [*rows, *test_rows])
    read = lambda: _read(rows, test_rows, columns.label)  # noqa: E731
    return Source(name, "rows", marks, tuple(all_notes), read, has_test=bool(test_rows))


def columns_of(table: Table, files: ImageFiles) -> Columns:
    """Choose the columns of a table.

    Raises:
        UserError: there is no column of images or labels, or several columns could be meant.
    """
    counts = Counter(table.schema.names)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if repeated:
        raise UserError(
            f"{table.path} has several columns called {repeated[0]!r}: rename all but one."
        )
    image = encoded_image_column(table) or path_column(table, files)
    split = split_column(table)
    if split is not None and (split == image or by_column(table, split) is None):
        split = None
    others = {image} | ({split} if split else set())
    label = label_column(table, others)
    if label is None:
        raise no_label_column(table, others)
    if not label.is_usual:
        _check_repeats(table, label.name)
    return Columns(image, label, split)


def _check_repeats(table: Table, column: str) -> None:
    """Raise UserError if a column that might hold labels has too many different values for that."""
    labels = labels_of(table, column)
    if 2 * len(labels.keys) > len(labels.codes):
        raise UserError(
            f"{table.path} has no column called 'label', and {column!r} has {len(labels.keys):,} "
            f"different values in {len(labels.codes):,} rows: name the column with the class of "
            "each image 'label'."
        )


def _check_columns(table: Table, first: Table, columns: Columns) -> None:
    """Raise UserError if a table lacks a column of the first, or declares other classes."""
    for name in (columns.image, columns.label.name):
        if name not in table.schema.names:
            raise UserError(
                f"{table.path} has no column {name!r}, which {first.path} has: write both files "
                "with the same columns."
            )
    if table is first:
        return
    own = label_column(table, {name for name in table.schema.names if name != columns.label.name})
    if own is not None and own.class_names != columns.label.class_names:
        raise UserError(
            f"{table.path} has other class names than {first.path}: write both files with the same "
            "classes."
        )


def _stamps(folder: Path, paths: Sequence[Path], rows: list[Rows]) -> tuple[tuple[str, Stamp], ...]:
    """Return the name and stamp of every file that is read."""
    names = [Path(os.path.relpath(path, folder.parent)).as_posix() for path in paths]
    marks = [(name, stamp(path.stat())) for name, path in zip(names, paths, strict=True)]
    for own in rows:
        marks += [(file.name, file.stamp) for file in own.images.files if file and file.stamp]
    return tuple(marks)


def _read(train: list[Rows], test: list[Rows], label: LabelColumn) -> Content:
    rows = [*train, *test]
    labels = [own.labels(label.name) for own in rows]
    line_numbers = [np.flatnonzero(own.selected()) for own in rows]
    classes, indices = classes_of(
        [own.table for own in rows], labels, line_numbers, label.class_names
    )
    if label.class_names is None:
        names = names_beside([own.table for own in rows], label)
        classes = tuple(names.get(name, name) for name in classes)
    n_train = len(train)
    train_part = _part(train, indices[:n_train])
    return Content(classes, train_part, _part(test, indices[n_train:]) if test else None)


def _part(rows: list[Rows], labels: list[np.ndarray]) -> Part:
    """Return the images of several tables as one part."""
    masks = [own.selected() for own in rows]
    ends = np.cumsum([len(mask) for mask in masks])
    all_labels = np.zeros(int(ends[-1]), dtype=np.int64)
    mask = np.concatenate(masks)
    all_labels[mask] = np.concatenate(labels)

    def name_of(index: int) -> str:
        number = int(np.searchsorted(ends, index, side="right"))
        row = index - (int(ends[number - 1]) if number else 0)
        files = rows[number].images.files
        file = files[row] if files else None
        return file.name if file else rows[number].table.row(row)

    def chunks() -> Iterator[list[Payload]]:
        for own in rows:
            yield from own.images.chunks()

    def column(name: str) -> Sequence[str]:
        return [text for own in rows for text in _values(own.table, name)]

    part = Part(all_labels, name_of, chunks, column)
    return part if mask.all() else part.select(mask)


def _values(table: Table, column: str) -> list[str]:
    """Return the values of a column as text; empty text where there is none.

    Raises:
        UserError: the table has no such column.
    """
    if column not in table.schema.names:
        names = few([repr(name) for name in table.schema.names])
        raise UserError(f"{table.path} has no column {column!r}: its columns are {names}.")
    values = table.read(column).to_pylist()
    return ["" if value is None else str(value) for value in values]
