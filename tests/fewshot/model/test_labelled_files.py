"""Oracle: files and folders that the test writes, and Pillow's own pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from episodes.errors import UserError
from episodes.types import Decoding
from fewshot.model.labelled_files import LabelledFiles
from tests.fewshot.model import own_photos


def test_images_come_in_order_with_their_classes_and_pixels(tmp_path: Path) -> None:
    folder = own_photos.write(tmp_path / "photos", {"red": 2, "blue": 1})
    (folder / "red" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    files = LabelledFiles(str(folder), test=True)
    assert files.classes == ("blue", "red")
    (chunk,) = files.chunks(Decoding(16, "squeeze"))
    assert chunk.names == ["blue/0.png", "red/0.png", "red/1.png"]
    assert chunk.labels.tolist() == [0, 1, 1]
    assert [str(file) for file in files.left_out] == ["red/torn.png (damaged PNG)"]
    for name, pixels in zip(chunk.names, chunk.pixels.numpy(), strict=True):
        image = Image.open(folder / name).resize((16, 16), Image.Resampling.BICUBIC)
        difference = np.abs(pixels.transpose(1, 2, 0).astype(int) - np.asarray(image).astype(int))
        assert difference.max() <= 1


def test_a_test_part_is_used_where_it_is_asked_for(tmp_path: Path) -> None:
    own_photos.write(tmp_path / "photos" / "train", {"red": 3, "blue": 3})
    own_photos.write(tmp_path / "photos" / "test", {"red": 1, "blue": 1}, first=10)
    folder = str(tmp_path / "photos")
    assert (len(LabelledFiles(folder, test=True)), len(LabelledFiles(folder, test=False))) == (2, 6)


def test_one_class_a_table_and_digits_are_read_as_well(tmp_path: Path) -> None:
    folder = own_photos.write(tmp_path / "photos", {"red": 2})
    assert LabelledFiles(str(folder), test=False).classes == ("red",)
    (folder / "labels.csv").write_text("image_path,label\nred/0.png,a\nred/1.png,b\n")
    assert LabelledFiles(str(folder / "labels.csv"), test=False).classes == ("a", "b")
    digits = LabelledFiles("digits", test=True)
    assert len(digits) == 500
    assert next(digits.chunks(Decoding(20))).pixels.shape[1:] == (3, 20, 20)
    with pytest.raises(UserError, match="There is no data set"):
        LabelledFiles(str(tmp_path / "nowhere"), test=True)


def test_names_are_matched_without_regard_to_case_and_hyphens(tmp_path: Path) -> None:
    folder = own_photos.write(tmp_path / "photos", {"red": 1, "blue": 1, "green": 1})
    (folder / "red").rename(folder / "Dark-Red")
    files = LabelledFiles(str(folder), test=True)
    assert files.classes == ("Dark-Red", "blue", "green")
    assert files.labels_among(("blue", "dark red")) == [1, 0, None]
