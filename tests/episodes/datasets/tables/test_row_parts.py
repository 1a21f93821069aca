"""Oracle: the part that a person would read in each value or folder, written by hand."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from episodes.datasets.tables.image_files import ImageFile
from episodes.datasets.tables.row_parts import by_column, by_folder
from episodes.datasets.tables.table import MemoryTable


@pytest.mark.parametrize(
    ("column", "values", "parts"),
    [
        ("split", ["Training", "TEST", "val"], ["train", "test", "validation"]),
        ("Usage", ["Training", "PublicTest", "PrivateTest"], ["train", "validation", "test"]),
        ("is_train", ["1", "0", "1"], ["train", "test", "train"]),
        ("IsTest", [True, False, False], ["test", "train", "train"]),
        ("is_valid", ["False", "True", "no"], ["train", "validation", "train"]),
        ("is_train", ["1", "2", "1"], None),
        ("split", ["train", "test", "cat"], None),
        ("split", ["train", "test", None], None),
    ],
)
def test_values_stand_for_parts(column: str, values: list[object], parts: list[str] | None) -> None:
    names = by_column(MemoryTable(Path("x.csv"), None, pa.table({column: values})), column)
    assert (None if names is None else names.tolist()) == parts


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["train/a/1.png", "Testing/a/1.png"], ["train", "test"]),
        (["x/seg_train/1.png", "x/val/1.png"], ["train", "validation"]),
        (["train/1.png", "other/1.png"], None),
        (["train/1.png", "test.png"], None),
    ],
)
def test_folders_stand_for_parts(names: list[str], parts: list[str] | None) -> None:
    of_rows = by_folder([ImageFile(Path(name), name, None) for name in names])
    assert (None if of_rows is None else of_rows.tolist()) == parts


def test_an_image_in_the_table_has_no_part() -> None:
    assert by_folder([ImageFile(Path("train/1.png"), "train/1.png", None), None]) is None
