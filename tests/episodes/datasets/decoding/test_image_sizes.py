"""The usual side of the images of a data set: sizes of files that Pillow wrote here."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from episodes import datasets
from episodes.errors import UserError


def save(folder: Path, sizes: list[tuple[int, int]]) -> None:
    folder.mkdir(parents=True)
    for number, size in enumerate(sizes):
        Image.new("RGB", size, "red").save(folder / f"{number:03}.png")


def test_the_side_is_the_median_of_the_shorter_sides(tmp_path: Path) -> None:
    save(tmp_path / "cat", [(40, 90), (300, 200)])
    save(tmp_path / "dog", [(120, 500)])
    assert datasets.natural_side(str(tmp_path)) == 120


def test_all_classes_count_and_broken_files_do_not(tmp_path: Path) -> None:
    save(tmp_path / "small", [(20, 20)] * 150)
    save(tmp_path / "zebra", [(500, 400)] * 250)
    (tmp_path / "small" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert datasets.natural_side(str(tmp_path)) == 400


def test_digits_are_small_without_any_file() -> None:
    assert datasets.natural_side("digits") == 8


def test_data_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no data set"):
        datasets.natural_side(str(tmp_path / "nowhere"))
