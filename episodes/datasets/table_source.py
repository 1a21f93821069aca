"""A data set made of tables: their columns are chosen, and their rows become labelled images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from episodes.datasets.image_files import ImageFiles
from episodes.datasets.part_names import PartName
from episodes.datasets.row_parts import by_column, by_folder
from episodes.datasets.source import Content, Part, Payload, Source, few
from episodes.datasets.table_columns import (
    LabelColumn,
    encoded_image_column,
    label_column,
    no_label_column,
    split_column,
)
from episodes.datasets.table_files import TEST_NAMES
from episodes.datasets.table_images import Images, images_of, path_column
from episodes.datasets.table_labels import (
    Labels,
    classes_of,
    has_labels,
    labels_of,
    names_beside,
)
from episodes.datasets.tables import Table
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


@dataclass(frozen=True, eq=False)
class _Rows:
    """Some rows of one table.

    Attributes:
        table: the table.
        images: images of all rows of the table.
        mask: which rows are meant, bool [rows of the table]; None for all.
    """

    table: Table
    images: Images
    mask: np.ndarray | None = None


def source_of_tables(
    name: str,
    folder: Path,
    train: Sequence[Table],
    test: Sequence[Table],
    notes: Sequence[str] = (),
    also_read: Sequence[Path] = (),
    list_all: bool = True,
) -> Source:
    """Return the data set that tables make up.

    Args:
        name: name of the data set.
        folder: its folder; names of files are relative to it.
        train: tables of the training part, or of everything.
        test: tables of the test part; empty without one.
        notes: sentences for the user.
        also_read: files beside the tables that decide what is read.
        list_all: whether image files that no row names are noted in the whole folder, and not only
            beside those that are named.

    Raises:
        UserError: the columns of images or labels cannot be told, or the images are not there.
    """
    files = ImageFiles(folder)
    columns = columns_of(train[0], files)
    all_notes = [*notes, *([columns.label.note] if columns.label.note else [])]
    for table in train:
        _check_columns(table, train[0], columns)
    labelled_test = [table for table in test if has_labels(table, columns.label.name)]
    if unlabelled := [table.path.name for table in test if table not in labelled_test]:
        all_notes.append(f"{few(unlabelled)}: no labels, so not used")
    for table in labelled_test:
        _check_columns(table, train[0], columns)
    rows = [_Rows(table, images_of(table, columns.image, files)) for table in train]
    test_rows = [_Rows(table, images_of(table, columns.image, files)) for table in labelled_test]
    if not test_rows:
        rows, test_rows, split_notes = _split(rows, columns)
        all_notes += split_notes
    rows, repeat_notes = _without_repeats(rows, columns.label.name)
    test_rows, more_notes = _without_repeats(test_rows, columns.label.name)
    all_notes += [*repeat_notes, *more_notes]
    all_notes += _note_on_unlisted(files, [*rows, *test_rows], everywhere=list_all)
    paths = [table.path for table in (*train, *labelled_test)]
    stats = _stats(folder, [*paths, *also_read], [*rows, *test_rows])
    read = lambda: _read(rows, test_rows, columns.label)  # noqa: E731
    return Source(name, "rows", stats, tuple(all_notes), read, has_test=bool(test_rows))


def columns_of(table: Table, files: ImageFiles) -> Columns:
    """Choose the columns of a table.

    Raises:
        UserError: there is no column of images or labels, or several columns could be meant.
    """
    image = encoded_image_column(table) or path_column(table, files)
    if image is None:
        names = [repr(field.name) for field in table.schema]
        raise UserError(
            f"{table.path} has no image column: none of its columns ({few(names)}) holds encoded "
            f"images or names image files in {files.folder}."
        )
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


def _split(rows: list[_Rows], columns: Columns) -> tuple[list[_Rows], list[_Rows], list[str]]:
    """Divide rows by a column of parts, or by folders that stand for parts, if there are any.

    A validation part is the test part if there is no other, or if the other has no labels.

    Returns:
        Training rows, test rows, and notes.
    """
    if columns.split is not None:
        parts = [by_column(own.table, columns.split) for own in rows]
        origin = f"the values of {columns.split!r} in {rows[0].table.path.name}"
    else:
        parts = [by_folder(own.images.files) if own.images.files else None for own in rows]
        origin = "the folders of the images"
    known = [names for names in parts if names is not None]
    if len(known) < len(parts):
        return rows, [], []
    selected: dict[PartName, list[_Rows]] = {}
    for part in ("train", *TEST_NAMES):
        masks = [np.asarray(names == part) for names in known]
        selected[part] = [
            _Rows(own.table, own.images, mask)
            for own, mask in zip(rows, masks, strict=True)
            if mask.any()
        ]
    notes = [f"the parts are {origin}"]
    test: list[_Rows] = []
    for part in TEST_NAMES:
        count = sum(int(_mask(own).sum()) for own in selected[part])
        labels = [_labels(own, columns.label.name).codes for own in selected[part]]
        has_label = any((codes >= 0).any() for codes in labels)
        if test and count:
            notes.append(f"{count:,} rows of the {part} part are not used")
        elif count and not has_label:
            notes.append(f"{count:,} rows of the {part} part have no label, so they are not used")
        elif count:
            test = selected[part]
    return selected["train"], test, notes


def _without_repeats(rows: list[_Rows], column: str) -> tuple[list[_Rows], list[str]]:
    """Leave out rows that name the file of an earlier row.

    Raises:
        UserError: two such rows have different labels.
    """
    seen: dict[str, str] = {}
    new_rows, n_repeats = [], 0
    for own in rows:
        if not own.images.files:
            new_rows.append(own)
            continue
        mask = np.ones(own.table.n_rows, dtype=bool) if own.mask is None else own.mask.copy()
        labels = labels_of(own.table, column)
        for index in np.flatnonzero(mask).tolist():
            file, code = own.images.files[index], int(labels.codes[index])
            if file is None or file.stat is None:
                continue
            label = str(labels.keys[code]) if code >= 0 else ""
            if file.name not in seen:
                seen[file.name] = label
                continue
            if seen[file.name] != label:
                raise UserError(
                    f"{own.table.path} has several labels for {file.name} ({seen[file.name]} and "
                    f"{label}): write one row with one class for each image."
                )
            mask[index] = False
            n_repeats += 1
        new_rows.append(_Rows(own.table, own.images, None if mask.all() else mask))
    noun = "row names" if n_repeats == 1 else "rows name"
    notes = [f"{n_repeats:,} {noun} an image again, with the same label"] if n_repeats else []
    return new_rows, notes


def _note_on_unlisted(files: ImageFiles, rows: list[_Rows], everywhere: bool) -> list[str]:
    """Return a note about the image files that no row names."""
    used = {file.name for own in rows for file in own.images.files if file is not None}
    if not used:
        return []
    unlisted, total = files.unlisted(used, everywhere)
    if not unlisted:
        return []
    counts = Counter(f"{name.rpartition('/')[0] or '.'}/" for name in unlisted)
    places = few([f"{count:,} in {place}" for place, count in sorted(counts.items())])
    return [f"{len(unlisted):,} of {total:,} image files have no row with a label: {places}"]


def _stats(
    folder: Path, paths: Sequence[Path], rows: list[_Rows]
) -> tuple[tuple[str, os.stat_result], ...]:
    """Return the name and stat of every file that is read."""
    stats = [(Path(os.path.relpath(path, folder.parent)).as_posix(), path.stat()) for path in paths]
    for own in rows:
        stats += [(file.name, file.stat) for file in own.images.files if file and file.stat]
    return tuple(stats)


def _read(train: list[_Rows], test: list[_Rows], label: LabelColumn) -> Content:
    rows = [*train, *test]
    labels = [_labels(own, label.name) for own in rows]
    line_numbers = [np.flatnonzero(_mask(own)) for own in rows]
    classes, indices = classes_of(
        [own.table for own in rows], labels, line_numbers, label.class_names
    )
    if label.class_names is None:
        names = names_beside([own.table for own in rows], label)
        classes = tuple(names.get(name, name) for name in classes)
    n_train = len(train)
    train_part = _part(train, indices[:n_train])
    return Content(classes, train_part, _part(test, indices[n_train:]) if test else None)


def _mask(rows: _Rows) -> np.ndarray:
    """Return which rows of the table are meant, bool [rows of the table]."""
    return np.ones(rows.table.n_rows, dtype=bool) if rows.mask is None else rows.mask


def _labels(rows: _Rows, column: str) -> Labels:
    """Return the labels of the rows that are meant."""
    labels = labels_of(rows.table, column)
    return labels if rows.mask is None else Labels(labels.keys, labels.codes[rows.mask])


def _part(rows: list[_Rows], labels: list[np.ndarray]) -> Part:
    """Return the images of several tables as one part."""
    masks = [_mask(own) for own in rows]
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
