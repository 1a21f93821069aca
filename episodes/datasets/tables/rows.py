"""Rows of tables: divided into parts, without repeats, and with a note on images without a row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from episodes.datasets.part_names import PartName
from episodes.datasets.source import few
from episodes.datasets.tables.files import TEST_NAMES
from episodes.datasets.tables.image_files import ImageFiles
from episodes.datasets.tables.images import Images
from episodes.datasets.tables.labels import Labels, labels_of
from episodes.datasets.tables.row_parts import by_column, by_folder
from episodes.datasets.tables.table import Table
from episodes.errors import UserError


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of one table.

    Attributes:
        table: the table.
        images: images of all rows of the table.
        mask: which rows are meant, bool [rows of the table]; None for all.
    """

    table: Table
    images: Images
    mask: np.ndarray | None = None

    def selected(self) -> np.ndarray:
        """Return which rows of the table are meant, bool [rows of the table]."""
        return np.ones(self.table.n_rows, dtype=bool) if self.mask is None else self.mask

    def labels(self, column: str) -> Labels:
        """Return the labels of the rows that are meant."""
        labels = labels_of(self.table, column)
        return labels if self.mask is None else Labels(labels.keys, labels.codes[self.mask])


def split(
    rows: list[Rows], column: str | None, label: str
) -> tuple[list[Rows], list[Rows], list[str]]:
    """Divide rows by a column of parts, or by folders that stand for parts, if there are any.

    A validation part is the test part if there is no other, or if the other has no labels.

    Args:
        rows: all rows.
        column: column with the part of each row; None to use the folders of the images.
        label: column of the labels.

    Returns:
        Training rows, test rows, and notes.
    """
    if column is not None:
        parts = [by_column(own.table, column) for own in rows]
        origin = f"the values of {column!r} in {rows[0].table.path.name}"
    else:
        parts = [by_folder(own.images.files) if own.images.files else None for own in rows]
        origin = "the folders of the images"
    known = [names for names in parts if names is not None]
    names_of_parts = {str(name) for names in known for name in np.unique(names)}
    if len(known) < len(parts) or "train" not in names_of_parts or len(names_of_parts) < 2:
        return rows, [], []
    selected: dict[PartName, list[Rows]] = {}
    for part in ("train", *TEST_NAMES):
        masks = [np.asarray(names == part) for names in known]
        selected[part] = [
            Rows(own.table, own.images, mask)
            for own, mask in zip(rows, masks, strict=True)
            if mask.any()
        ]
    notes = [f"the parts are {origin}"]
    test: list[Rows] = []
    for part in TEST_NAMES:
        count = sum(int(own.selected().sum()) for own in selected[part])
        labels = [own.labels(label).codes for own in selected[part]]
        has_label = any((codes >= 0).any() for codes in labels)
        if test and count:
            notes.append(f"{count:,} rows of the {part} part are not used")
        elif count and not has_label:
            notes.append(f"{count:,} rows of the {part} part have no label, so they are not used")
        elif count:
            test = selected[part]
    return selected["train"], test, notes


def without_repeats(rows: list[Rows], column: str) -> tuple[list[Rows], list[str]]:
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
        mask = own.selected().copy()
        labels = labels_of(own.table, column)
        for index in np.flatnonzero(mask).tolist():
            file, code = own.images.files[index], int(labels.codes[index])
            if file is None or file.stamp is None:
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
        new_rows.append(Rows(own.table, own.images, None if mask.all() else mask))
    noun = "row names" if n_repeats == 1 else "rows name"
    notes = [f"{n_repeats:,} {noun} an image again, with the same label"] if n_repeats else []
    return new_rows, notes


def note_on_unlisted(files: ImageFiles, rows: list[Rows], everywhere: bool) -> list[str]:
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
