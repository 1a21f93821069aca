"""Oracles: Pillow's own pixels, counts by hand, and folders as tidy or messy as users have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from episodes.datasets import load
from episodes.errors import UserError
from tests.episodes.datasets.samples import save_classes, save_image


def test_train_and_val_folders_hold_the_pixels_that_pillow_reads(tmp_path: Path) -> None:
    save_classes(tmp_path / "pets" / "train", {"cat": 3, "dog": 2})
    save_classes(tmp_path / "pets" / "val", {"cat": 1, "dog": 1})
    train, test = load(str(tmp_path / "pets"))
    assert (train.name, train.classes) == ("pets", ("cat", "dog"))
    assert (train.notes, train.groups) == ((), {})
    assert train.labels.tolist() == [0, 0, 0, 1, 1]
    assert test.labels.tolist() == [0, 1]
    assert train.images.dtype == torch.uint8
    assert train.labels.dtype == torch.int64
    paths = sorted((tmp_path / "pets" / "train").rglob("*.png"))
    expected = np.stack([np.asarray(Image.open(path)).transpose(2, 0, 1) for path in paths])
    np.testing.assert_array_equal(train.images.numpy(), expected)


def test_without_a_test_folder_a_stratified_fifth_is_the_test_set(tmp_path: Path) -> None:
    save_classes(tmp_path / "own", {"a": 20, "b": 10, "c": 1})
    train, test = load(str(tmp_path / "own"))
    assert torch.bincount(train.labels).tolist() == [16, 8, 1]
    assert torch.bincount(test.labels).tolist() == [4, 2]
    assert "20% of its images" in train.notes[0]
    assert any("no test images of c" in note for note in train.notes)
    distinct = {image.numpy().tobytes() for part in (train, test) for image in part.images}
    assert len(distinct) == 31  # no image is in both sets
    repeated = load(str(tmp_path / "own"), cache=tmp_path / "other")
    assert torch.equal(repeated.test.images, test.images)


def test_a_messy_folder_loads_and_its_notes_name_what_was_skipped(tmp_path: Path) -> None:
    root = tmp_path / "messy"
    save_classes(root / "train", {"one": 4, "two": 7})
    save_classes(root / "train", {"three": 2}, suffix=".jpg")
    save_classes(root / "test", {"one": 1, "two": 2, "three": 1})
    save_image(root / "train" / "two" / "deeper" / "x.jpg", seed=7, size=(40, 20))
    (root / "train" / "one" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    (root / "train" / "one" / "notes.txt").write_text("not an image")
    (root / "train" / "one" / ".DS_Store").write_text("hidden")
    (root / "train" / "phone").mkdir()
    (root / "train" / "phone" / "photo.heic").write_bytes(b"heic")
    (root / "train" / "nothing").mkdir()
    (root / "README.md").write_text("about")
    (root / ".git" / "objects").mkdir(parents=True)
    train, test = load(str(root))
    assert train.classes == ("one", "three", "two")
    assert torch.bincount(train.labels).tolist() == [4, 2, 8]
    assert train.images.shape == (14, 3, 64, 64)  # sizes differ, so the default size is used
    assert torch.bincount(test.labels).tolist() == [1, 1, 2]
    notes = " | ".join(train.notes)
    assert "skipped 3 of 21 files" in notes
    assert "train/one/broken.png (damaged PNG)" in notes
    assert "train/one/notes.txt" in notes
    assert "train/phone/photo.heic (not an image" in notes
    assert "train/nothing/: no files" in notes
    assert "no images of phone" in notes
    assert "DS_Store" not in notes


def test_test_takes_precedence_over_val(tmp_path: Path) -> None:
    for part in ("train", "test", "val"):
        save_classes(tmp_path / part, {"a": 2, "b": 2})
    train, test = load(str(tmp_path))
    assert train.notes == ("val/ is not used (4 images): test/ is the test set",)
    assert len(test) == 4


def test_test_without_train_is_an_error(tmp_path: Path) -> None:
    save_classes(tmp_path / "test", {"a": 2, "b": 2})
    with pytest.raises(UserError, match="no train/"):
        load(str(tmp_path))
