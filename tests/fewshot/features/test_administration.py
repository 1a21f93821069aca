"""Clearing the cache while processes use it.

Oracle: images in memory, and files whose sizes are known.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from episodes import datasets
from fewshot.features import administration, cache


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def load(tmp_path: Path) -> datasets.TrainTest:
    for shade, part in enumerate(("train", "test")):
        for number, name in enumerate(("dark", "light")):
            folder = tmp_path / "mine" / part / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (40 + 100 * number + shade,) * 3).save(folder / "0.png")
    return datasets.load(str(tmp_path / "mine"))


def test_images_in_use_outlive_their_files(tmp_path: Path, place: Path) -> None:
    data = load(tmp_path)
    before = data.train.images.clone()
    administration.clear()
    assert not list((place / "images").iterdir())
    assert (data.train.images == before).all()
    again = load(tmp_path)
    assert (again.train.images == before).all()
    assert again.train.fingerprint == data.train.fingerprint


def test_what_is_being_written_stays(tmp_path: Path, place: Path) -> None:
    data = load(tmp_path)
    building = place / "images" / data.train.fingerprint
    features = cache.folder()
    features.mkdir()
    for name in ("a.safetensors", "a.safetensors.7.part", "b.safetensors.8.part"):
        (features / name).write_bytes(bytes(1_000_000))
    with FileLock(building.with_suffix(".lock")), cache.locked(features / "a.safetensors"):
        message = administration.clear()
    assert building.is_dir()
    assert {path.name for path, _ in cache.files()} == {"a.safetensors.7.part"}
    assert message.startswith("freed 2.0 MB")
    assert message.endswith("2 in use or not removable")
    assert administration.clear().startswith("freed 1.0 MB")
    assert not list(features.iterdir())
    assert not building.exists()


def test_entries_of_earlier_versions_and_damaged_ones_are_shown(
    tmp_path: Path, place: Path
) -> None:
    data = load(tmp_path)
    meta = place / "images" / data.train.fingerprint / "meta.json"
    values = json.loads(meta.read_text())
    del values["name"]
    meta.write_text(json.dumps(values))
    (place / "images" / data.test.fingerprint / "meta.json").write_text("{")
    cache.folder().mkdir()
    for name, content in {"x": b"", "y": b"\xff" * 100, "z": bytes(100)}.items():
        (cache.folder() / f"{name}.safetensors").write_bytes(content)
    os.utime(cache.folder() / "x.safetensors", (2**37, 2**37))  # no year of four digits
    shown = administration.show()
    assert "2 classes: dark, light" in shown
    assert shown.count("unfinished or damaged") == 4


def test_used_images_count_as_used(tmp_path: Path, place: Path) -> None:
    folder = place / "images" / load(tmp_path).train.fingerprint
    before = folder.stat().st_mtime_ns
    assert load(tmp_path).train.fingerprint == folder.name
    assert folder.stat().st_mtime_ns > before
    assert np.load(folder / "images.npy").shape == (2, 3, 32, 32)
