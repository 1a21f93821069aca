"""Data sets as the checks read them. Oracles: the files themselves, and `datasets.load`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from episodes import datasets
from fewshot import backbones
from fewshot.checks import measuring, reading
from fewshot.errors import UserError
from fewshot.model import candidates
from tests.fewshot.checks import photos


def test_names_labels_files_and_sizes_are_those_of_the_folder(tmp_path: Path) -> None:
    folder = photos.save(tmp_path / "photos", 3)
    photos.plant(folder)
    (data,) = reading.read(str(folder), with_features=False)
    assert data.data == "photos"
    assert data.folder == folder
    assert data.files is not None
    for name, label, file, size in zip(
        data.names, data.labels.tolist(), data.files, data.sizes.tolist(), strict=True
    ):
        assert file == folder / name
        assert data.classes[label] == name.split("/")[0]
        with Image.open(file) as image:
            assert [image.height, image.width] == size
    assert [file.name for file in data.unreadable] == ["cat/broken.png"]
    assert data.unreadable_files == (folder / "cat/broken.png",)
    equal = [
        data.names[i] for i, digest in enumerate(data.digests) if data.digests.count(digest) > 1
    ]
    assert equal == ["cat/01.png", "cat/02.png", "cat/copy.png", "dog/cat.png"]


def test_features_are_those_that_fit_computes(tmp_path: Path) -> None:
    folder = photos.save(tmp_path / "photos", 2)
    (data,) = reading.read(str(folder))
    settings = backbones.default(photos.SIDE)
    images = datasets.load(str(folder), input_size=backbones.input_side(settings), test=None).train
    expected = candidates.features(candidates.build(settings, "cpu"), images, "cpu")
    assert torch.equal(data.features, expected)


def test_what_was_measured_is_cached_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photos.save(tmp_path / "photos", 2)
    (first,) = reading.read(str(folder), with_features=False)
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "measure", None)  # an error if it is called
        (again,) = reading.read(str(folder), with_features=False)
    assert again.digests == first.digests
    assert again.files == first.files
    photos.scene(5, (40, 20)).save(folder / "cat" / "00.png")
    (changed,) = reading.read(str(folder), with_features=False)
    assert changed.sizes[0].tolist() == [20, 40]
    assert changed.digests[1:] == first.digests[1:]


def test_what_is_cached_is_measured_again_if_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = photos.save(tmp_path / "photos", 2), tmp_path / "cache"
    monkeypatch.setenv("FEWSHOT_CACHE", str(cache))
    (first,) = reading.read(str(folder), with_features=False)
    files = sorted(cache.rglob("inspected-*"))
    assert [file.suffix for file in files] == [".npy", ".npz"]
    other_kind = {file: other.read_bytes() for file, other in zip(files, files[::-1], strict=True)}
    for file in files:
        content = file.read_bytes()
        half = content[: len(content) // 2]
        for damaged in (half, content[:30], b"", b"no archive", other_kind[file]):
            file.write_bytes(damaged)
            (again,) = reading.read(str(folder), with_features=False)
            assert again.digests == first.digests
            assert torch.equal(again.thumbnails, first.thumbnails)
            assert file.read_bytes() == content


def test_a_folder_without_classes_has_one_without_a_name(tmp_path: Path) -> None:
    for i in range(3):
        photos.scene(i).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (data,) = reading.read(str(tmp_path), with_features=False)
    assert data.classes == ("",)
    assert data.names == ("0.png", "1.png", "2.png")


def test_parts_tables_and_arrays_are_read(tmp_path: Path) -> None:
    photos.save(tmp_path / "parts" / "train", 2)
    photos.save(tmp_path / "parts" / "test", 1)
    train, test = reading.read(str(tmp_path / "parts"), with_features=False)
    assert (len(train.labels), len(test.labels)) == (4, 2)
    table = tmp_path / "table"
    shutil.copytree(tmp_path / "parts" / "train", table / "images")
    rows = [f"images/{name}/0{i}.png,{name}" for name in ("cat", "dog") for i in range(2)]
    (table / "labels.csv").write_text("\n".join(["image_path,label", *rows]))
    (data,) = reading.read(str(table / "labels.csv"), with_features=False)
    assert data.folder is None
    assert data.digests == train.digests
    pixels = np.stack([np.asarray(photos.scene(i, (32, 32))) for i in range(4)])
    np.savez(tmp_path / "arrays.npz", images=pixels, labels=np.array([0, 0, 1, 1]))
    (arrays,) = reading.read(str(tmp_path / "arrays.npz"), with_features=False)
    assert arrays.files is None
    assert (arrays.thumbnails.permute(0, 2, 3, 1).numpy() == pixels).all()


def test_missing_data_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data set"):
        reading.read(str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no class folders"):
        reading.read(str(tmp_path / "empty"))
