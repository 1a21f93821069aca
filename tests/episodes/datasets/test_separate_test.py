"""Test images of their own; oracle: the pixels that Pillow reads from the second folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from episodes.datasets import load
from episodes.errors import UserError
from tests.episodes.datasets.samples import save_classes


def pixels(folder: Path) -> np.ndarray:
    paths = sorted(folder.rglob("*.png"))
    return np.stack([np.asarray(Image.open(path)).transpose(2, 0, 1) for path in paths])


def test_another_folder_is_the_test_set_with_classes_by_name(tmp_path: Path) -> None:
    save_classes(tmp_path / "a", {"ant": 3, "bee": 4, "cat": 2})
    save_classes(tmp_path / "b", {"bee": 2, "cat": 1})
    train, test = load(str(tmp_path / "a"), test=str(tmp_path / "b"))
    np.testing.assert_array_equal(test.images.numpy(), pixels(tmp_path / "b"))
    np.testing.assert_array_equal(train.images.numpy(), pixels(tmp_path / "a"))
    assert test.classes == train.classes == ("ant", "bee", "cat")
    assert test.labels.tolist() == [1, 1, 2]
    assert "no test images of ant" in train.notes
    assert train.fingerprint == load(str(tmp_path / "a"), test=None).train.fingerprint


def test_notes_name_the_test_part_of_each(tmp_path: Path) -> None:
    for name in "ab":
        save_classes(tmp_path / name / "train", {"x": 3, "y": 3})
        save_classes(tmp_path / name / "test", {"x": 1, "y": 2})
    train, test = load(str(tmp_path / "a"), test=str(tmp_path / "b"))
    np.testing.assert_array_equal(test.images.numpy(), pixels(tmp_path / "b" / "test"))
    np.testing.assert_array_equal(train.images.numpy(), pixels(tmp_path / "a" / "train"))
    assert any("the test part of a is not used" in note for note in train.notes)
    assert any("b has a test part" in note for note in train.notes)


def test_the_sizes_of_both_decide_the_working_size(tmp_path: Path) -> None:
    save_classes(tmp_path / "a", {"x": 3, "y": 3})
    save_classes(tmp_path / "b", {"x": 1, "y": 2})
    Image.new("RGB", (40, 20)).save(tmp_path / "b" / "x" / "wide.png")
    train, test = load(str(tmp_path / "a"), test=str(tmp_path / "b"))
    assert train.images.shape[1:] == test.images.shape[1:] == (3, 64, 64)


def test_unknown_classes_of_the_test_images_are_refused_with_a_suggestion(tmp_path: Path) -> None:
    save_classes(tmp_path / "a", {"Ant": 3, "Bee": 4})
    save_classes(tmp_path / "b", {"bee": 2, "Ant": 2})
    with pytest.raises(UserError, match=r"test images of bee \(did you mean Bee\?\)"):
        load(str(tmp_path / "a"), test=str(tmp_path / "b"))


def test_training_images_are_refused_as_test_images(tmp_path: Path) -> None:
    save_classes(tmp_path / "a", {"x": 3, "y": 4})
    save_classes(tmp_path / "b", {"x": 2, "y": 2})
    (tmp_path / "b" / "x" / "link.png").symlink_to(tmp_path / "a" / "x" / "001.png")
    with pytest.raises(UserError, match=r"7 of 7 files in .*a hold training images"):
        load(str(tmp_path / "a"), test=str(tmp_path / "a"))
    with pytest.raises(UserError, match=r"1 of 5 files in .*such as x/link\.png"):
        load(str(tmp_path / "a"), test=str(tmp_path / "b"))


def test_a_missing_folder_of_test_images_is_refused(tmp_path: Path) -> None:
    save_classes(tmp_path / "a", {"x": 3, "y": 4})
    with pytest.raises(UserError, match="no data set 'nowhere'"):
        load(str(tmp_path / "a"), test="nowhere", root=tmp_path)


@pytest.mark.parametrize("share", [0.0, 1.0, 2.5])
def test_an_impossible_share_is_refused(tmp_path: Path, share: float) -> None:
    save_classes(tmp_path / "a", {"x": 3, "y": 4})
    with pytest.raises(UserError, match="not between 0 and 1"):
        load(str(tmp_path / "a"), test=share)
