"""Oracles: sentences and shares worked out by hand for small folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from episodes.datasets import load
from episodes.types import Fit
from tests.episodes.datasets.deep_images import png16
from tests.episodes.datasets.samples import save_classes, save_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of four square images."""
    save_classes(tmp_path / "data", {"a": 4, "b": 4})
    return tmp_path / "data"


def notes(folder: Path, fit: Fit = "crop", test: float | None = None) -> list[str]:
    loaded = load(str(folder), image_size=16, fit=fit, test=test, cache=folder.parent / "cache")
    return [note for note in loaded.train.notes if "no test" not in note]


def test_square_ordinary_images_need_no_note(folder: Path) -> None:
    assert notes(folder) == []


@pytest.mark.parametrize("test", [None, 0.25])
def test_what_is_cut_off_is_counted_over_all_parts(folder: Path, test: float | None) -> None:
    save_image(folder / "a" / "wide.png", seed=1, size=(40, 20))  # a half is cut off
    save_image(folder / "b" / "tall.png", seed=2, size=(15, 20))  # a quarter
    assert notes(folder, test=test) == [
        "2 of 10 images are not square: margins are cut off, on average 38% of the area; "
        "`--set image_fit=squeeze` or `pad` keeps all of it"
    ]
    assert notes(folder, "squeeze", test) == notes(folder, "pad", test) == []


def test_skipped_files_are_listed_by_reason(folder: Path) -> None:
    whole = (folder / "a" / "000.png").read_bytes()
    (folder / "a" / "x.png").write_bytes(whole[:-100])
    (folder / "b" / "y.png").write_bytes(whole[:-100])
    (folder / "b" / "z.txt").write_text("text")
    assert notes(folder) == [
        "skipped 3 of 11 files: a/x.png, b/y.png (truncated); b/z.txt (not an image)"
    ]


def test_notes_have_the_range_of_deep_images_and_what_it_does_not_fit(
    folder: Path,
) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (8, 16, 16, 1)).astype(np.uint16)
    for number, own in enumerate(values):
        (folder / "a" / f"deep{number}.png").write_bytes(png16(own))
    assert notes(folder) == ["8 images of 16-bit values: 0 is taken as black and 4,095 as white"]
    (folder / "b" / "dim.png").write_bytes(png16(values[0] // 32))
    assert notes(folder)[1] == (
        "nearly black: 1 image of more than 8 bits per channel, with less than a sixteenth of the "
        "range of the data set; save all images with one range"
    )


def test_sixteen_full_bits_need_no_remark(folder: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (16, 16, 1)).astype(np.uint16)
    (folder / "a" / "deep.png").write_bytes(png16(values))
    assert notes(folder) == []


def test_further_pages_and_frames_are_not_used_and_counted(folder: Path) -> None:
    pages = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    for name in ("a/x.gif", "a/x.tif", "b/x.webp", "b/x.png"):
        pages[0].save(folder / name, save_all=True, append_images=pages[1:], lossless=True)
        pages[0].save(folder / name.replace("x", "single"), lossless=True)
    assert notes(folder) == [
        "only the first page or frame is used of 4 images with several: a/x.gif, a/x.tif, "
        "b/x.png, b/x.webp"
    ]
    train, _ = load(str(folder), image_size=16, test=None, cache=folder.parent / "cache")
    red = (train.images == np.array([255, 0, 0]).reshape(3, 1, 1)).flatten(1).all(1)
    assert int(red.sum()) == 8


def test_the_further_image_of_a_phone_is_no_page(folder: Path) -> None:
    pages = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    pages[0].save(folder / "a" / "x.jpg", "MPO", save_all=True, append_images=pages[1:])
    assert notes(folder) == []
