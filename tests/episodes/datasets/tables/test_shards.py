"""Oracle: the numbers that were left out of a series of files, written down by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from episodes.datasets.tables.shards import notes_on_shards
from episodes.errors import UserError


def notes(*names: str) -> list[str]:
    return notes_on_shards(Path("data") / name for name in names)


@pytest.mark.parametrize(
    "names",
    [
        ("train-00000-of-00001.parquet",),
        ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet"),
        ("train-00001-of-00002.parquet", "train-00002-of-00002.parquet"),
        ("train.parquet",),
        ("train-0.parquet", "train-1.parquet", "train-2.parquet"),
        ("cifar10.parquet", "cifar100.parquet"),
        ("train-2019.parquet", "train-2021.parquet"),
        ("a-00000-of-00001.parquet", "b-00000-of-00001.parquet"),
        ("0000.parquet", "0001.parquet"),
        ("part-1.parquet", "part-50.parquet"),
    ],
)
def test_complete_series_and_other_numbers_get_no_note(names: tuple[str, ...]) -> None:
    assert notes(*names) == []


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (
            ("train-00000-of-00003.parquet", "train-00002-of-00003.parquet"),
            "1 of 3 files is missing: train-00001-of-00003.parquet",
        ),
        (
            ("train-00003-of-00004-ab12.parquet",),
            "3 of 4 files are missing: train-00000-of-00004-ab12.parquet",
        ),
        (("data-00001-of-00002.arrow",), "1 of 2 files is missing: data-00000-of-00002.arrow"),
        (("0000.parquet", "0002.parquet"), "1 of 3 files is missing: 0001.parquet"),
        (("train-0.parquet", "train-2.parquet"), "1 of 3 files is missing: train-1.parquet"),
    ],
)
def test_gaps_are_counted_and_named(names: tuple[str, ...], missing: str) -> None:
    (note,) = notes(*names)
    assert note.startswith(missing)


def test_files_of_two_versions_are_refused() -> None:
    with pytest.raises(UserError, match=r"several versions \(…-of-00001, …-of-00002\)"):
        notes(
            "train-00000-of-00001.parquet",
            "train-00000-of-00002.parquet",
            "train-00001-of-00002.parquet",
        )
