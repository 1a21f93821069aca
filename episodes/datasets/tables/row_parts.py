"""The part of the data set that each row of a table belongs to: by a column, or by folders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from episodes.datasets.part_names import PartName, part_of
from episodes.datasets.tables.columns import plain
from episodes.datasets.tables.image_files import ImageFile
from episodes.datasets.tables.labels import labels_of
from episodes.datasets.tables.table import Table

_FER_PARTS: dict[str, PartName] = {"publictest": "validation", "privatetest": "test"}  # FER2013
_BOOLEANS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def by_column(table: Table, column: str) -> np.ndarray | None:
    """Return the part of each row by a column with values such as train, test and validation.

    Returns:
        Part names, text [rows]; None if a value stands for no part.
    """
    labels = labels_of(table, column)
    parts = [_part_of_value(str(key), plain(column)) for key in labels.keys]
    if (labels.codes < 0).any() or None in parts:
        return None
    part_of_row: np.ndarray = np.array(parts)[labels.codes]
    return part_of_row


def by_folder(files: Sequence[ImageFile | None]) -> np.ndarray | None:
    """Return the part of each row by the folders of its image, such as train/ and test/.

    Returns:
        Part names, text [rows]; None if a row is in no such folder.
    """
    part_of_folder: dict[str, PartName | None] = {}
    parts = []
    for file in files:
        folder = file.name.rpartition("/")[0] if file else ""
        if folder not in part_of_folder:
            names = folder.split("/")
            part_of_folder[folder] = next((part for name in names if (part := part_of(name))), None)
        parts.append(part_of_folder[folder])
    return None if None in parts else np.array(parts)


def _part_of_value(value: str, column: str) -> PartName | None:
    """Return the part that a value stands for: `Training`, or `1` in a column `is_train`."""
    if not column.startswith("is"):
        return _FER_PARTS.get(plain(value)) or part_of(value)
    named, is_true = part_of(column.removeprefix("is")), _BOOLEANS.get(value.lower())
    if named is None or is_true is None:
        return None
    opposite: PartName = "test" if named == "train" else "train"
    return named if is_true else opposite
