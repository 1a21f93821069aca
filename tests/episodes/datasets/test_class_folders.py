"""Class folders, tidy and messy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from episodes.datasets import load
from episodes.errors import UserError


def save(path: Path, seed: int, size: tuple[int, int] = (16, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def fill(folder: Path, counts: dict[str, int], suffix: str = ".png") -> None:
    for number, (name, count) in enumerate(counts.items()):
        for i in range(count):
            save(folder / name / f"{i:03}{suffix}", seed=1000 * number + i)


def test_train_and_test_folders_hold_what_pillow_sees(tmp_path: Path) -> None:
    fill(tmp_path / "pets" / "train", {"cat": 3, "dog": 2})
    fill(tmp_path / "pets" / "val", {"cat": 1, "dog": 1})
    train, test = load(str(tmp_path / "pets"))
    assert (train.name, train.classes, train.notes, train.groups) == (
        "pets",
        ("cat", "dog"),
        (),
        {},
    )
    assert train.labels.tolist() == [0, 0, 0, 1, 1]
    assert test.labels.tolist() == [0, 1]
    assert train.images.dtype == torch.uint8
    assert train.labels.dtype == torch.int64
    paths = sorted((tmp_path / "pets" / "train").rglob("*.png"))
    expected = np.stack([np.asarray(Image.open(path)).transpose(2, 0, 1) for path in paths])
    np.testing.assert_array_equal(train.images.numpy(), expected)


def test_without_a_test_part_a_stratified_fifth_is_set_aside(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 20, "b": 10, "c": 1})
    train, test = load(str(tmp_path))
    assert torch.bincount(train.labels).tolist() == [16, 8, 1]
    assert torch.bincount(test.labels).tolist() == [4, 2]
    assert "fifth" in train.notes[0]
    assert any("no test images of c" in note for note in train.notes)
    everything = {image.numpy().tobytes() for part in (train, test) for image in part.images}
    assert len(everything) == 31  # no image is in both parts
    again = load(str(tmp_path), cache=tmp_path.parent / "other")
    assert torch.equal(again.test.images, test.images)


def test_a_messy_folder(tmp_path: Path) -> None:
    root = tmp_path / "messy"
    fill(root / "train", {"one": 4, "two": 7})
    fill(root / "train", {"three": 2}, suffix=".jpg")
    fill(root / "test", {"one": 1, "two": 2, "three": 1})
    save(root / "train" / "two" / "deeper" / "x.jpg", seed=7, size=(40, 20))
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
    assert train.images.shape == (14, 3, 64, 64)  # sizes differ, so all are scaled to the default
    assert torch.bincount(test.labels).tolist() == [1, 1, 2]
    notes = " | ".join(train.notes)
    assert "skipped 3 of 21 files" in notes
    assert "train/one/broken.png (cannot be decoded), train/one/notes.txt (not an image)" in notes
    assert "photo.heic (a format that cannot be read" in notes
    assert "train/nothing/: no files" in notes
    assert "no images of phone" in notes
    assert "DS_Store" not in notes


def test_long_lists_of_skipped_files_are_cut(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 5, "b": 5})
    for i in range(9):
        (tmp_path / "a" / f"broken{i}.jpg").write_bytes(b"broken")
    note = load(str(tmp_path)).train.notes[1]
    assert "skipped 9 of 19 files" in note
    assert note.count("broken") == 5
    assert note.endswith("and 4 more")


def test_image_size(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 5, "b": 5})
    assert load(str(tmp_path)).train.images.shape[1:] == (3, 16, 16)
    small = load(str(tmp_path), image_size=8).train
    assert small.images.shape[1:] == (3, 8, 8)
    assert small.fingerprint != load(str(tmp_path)).train.fingerprint
    with pytest.raises(UserError, match="image size 2"):
        load(str(tmp_path), image_size=2)


def test_both_test_and_val(tmp_path: Path) -> None:
    for part in ("train", "test", "val"):
        fill(tmp_path / part, {"a": 2, "b": 2})
    train, test = load(str(tmp_path))
    assert train.notes == ("val/ is not used: test/ is the test part",)
    assert len(test) == 4


def test_a_test_class_unknown_in_train(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 2, "b": 2})
    fill(tmp_path / "test", {"a": 2, "zebra": 2})
    with pytest.raises(UserError, match="no training images of zebra"):
        load(str(tmp_path))


def test_one_class_is_not_enough_and_the_reason_is_told(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 4})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.png").write_bytes(b"broken")
    with pytest.raises(
        UserError, match=r"two classes or more, but has 1.*b/x.png \(cannot be decoded\)"
    ):
        load(str(tmp_path))


def test_test_without_train(tmp_path: Path) -> None:
    fill(tmp_path / "test", {"a": 2, "b": 2})
    with pytest.raises(UserError, match="no train/"):
        load(str(tmp_path))


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no class folders"):
        load(str(tmp_path))


def test_groups_are_read(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 2, "dog": 2, "7": 2})
    (tmp_path / "groups.yaml").write_text("animal: [cat, dog]\nsign: [7]\n")
    assert load(str(tmp_path)).train.groups == {"animal": ("cat", "dog"), "sign": ("7",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("animal: [cat]", "dog has none"),
        ("animal: [cat, dog, dgo]", "key 'animal': there is no class 'dgo', did you mean 'dog'"),
        ("animal: [cat, dog]\nbeast: [cat]", "key 'beast': cat is already in 'animal'"),
        ("animal: cat", "key 'animal': write"),
        ("animal: [cat, no]", "key 'animal': False is not a class name"),
        ("- cat", "write one line"),
        ("animal: [cat", "cannot be read as YAML"),
    ],
)
def test_groups_are_checked(tmp_path: Path, text: str, message: str) -> None:
    fill(tmp_path, {"cat": 2, "dog": 2})
    (tmp_path / "groups.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load(str(tmp_path))
    assert "groups.yaml" in str(caught.value)
