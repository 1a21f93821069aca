"""Notes about copies and their clusters, against copies of files that the tests make and count."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from episodes import datasets
from episodes.datasets import copies, loading
from episodes.types import TrainTest


def save(folder: Path, first: int, n: int) -> None:
    """Write n pictures of noise; pictures with equal numbers are equal."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + n):
        noise = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")


def load(folder: Path, **options: object) -> TrainTest:
    return loading.load(str(folder), cache=folder.parent / "cache", **options)


def about_copies(data: TrainTest) -> list[str]:
    return [note for note in data.train.notes if "cop" in note]


def test_copies_in_a_whole_data_set_share_a_cluster_and_are_counted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    save(data / "a", 0, 5)
    save(data / "b", 100, 5)
    shutil.copy(data / "a" / "0.png", data / "a" / "0 (1).png")
    shutil.copy(data / "a" / "3.png", data / "b" / "again.png")
    for _ in range(2):  # decoded, and from the cache
        whole = load(data, test=None)
        assert whole.is_whole
        assert about_copies(whole) == [
            "4 of 12 images are copies of each other (a/0 (1).png = a/0.png, a/3.png = "
            "b/again.png); a split keeps copies together; 2 images have a copy in another class: "
            "check their labels"
        ]
        pixels = whole.train.images.flatten(1)
        equal = (pixels[:, None] == pixels[None]).all(2)
        assert whole.train.clusters is not None
        assert ((whole.train.clusters[:, None] == whole.train.clusters) == equal).all()


def test_test_images_that_are_training_images_are_counted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name, first in (("a", 0), ("b", 100)):
        save(data / "train" / name, first, 4)
        save(data / "test" / name, first + 3, 3)
    parts = load(data)
    assert about_copies(parts) == [
        "2 of 6 test images are copies of training images (test/a/3.png = train/a/3.png, "
        "test/b/103.png = train/b/103.png), so they do not test what was learned"
    ]
    assert parts.train.clusters is None


def test_names_are_right_if_files_were_skipped(tmp_path: Path) -> None:
    data = tmp_path / "data"
    save(data / "a", 0, 3)
    save(data / "b", 100, 3)
    (data / "a" / "00.png").write_bytes(b"no image")
    shutil.copy(data / "b" / "101.png", data / "b" / "x.png")
    [note] = about_copies(load(data, test=None))
    assert "(b/101.png = b/x.png)" in note


@pytest.mark.skipif(os.name == "nt", reason="names on Windows have no control characters")
def test_names_of_copies_are_on_one_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    save(data / "a", 0, 5)
    save(data / "b", 100, 5)
    shutil.copy(data / "a" / "0.png", data / "a" / "new\nline\x1b[31m.png")
    (note,) = about_copies(load(data, test=None))
    assert "(a/0.png = a/new\ufffdline\ufffd[31m.png)" in note


def test_groups_and_copies_are_joined(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name, first in (("a", 0), ("b", 100)):
        save(data / name / "one", first, 3)
        save(data / name / "two", first + 10, 3)
    shutil.copy(data / "a" / "one" / "0.png", data / "a" / "two" / "0.png")
    clusters = load(data, test=None, group_by="subfolder").train.clusters
    assert clusters is not None
    sizes = np.unique(clusters.numpy(), return_counts=True)[1]
    assert max(sizes) >= 7  # both sub-folders of class a
    assert len(sizes) < 12


def test_different_images_have_no_note_and_the_search_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    save(data / "a", 0, 4)
    save(data / "b", 100, 4)
    first = load(data, test=None)
    assert about_copies(first) == []
    assert first.train.clusters is None
    monkeypatch.setattr(copies, "clusters_of_copies", None)
    assert about_copies(load(data, test=None)) == []
    other = load(data, test=None, input_size=7)  # the same pixels, for another network
    assert other.train.fingerprint == first.train.fingerprint
    assert about_copies(other) == []


def test_notes_name_the_files_of_the_folder_that_is_read(tmp_path: Path) -> None:
    for name, names in (("first", "xyz"), ("second", "uvw")):
        save(tmp_path / name / "b", 100, 4)
        for number, stem in enumerate(names):
            save(tmp_path / name / "a", max(number, 1), 1)
            (tmp_path / name / "a" / f"{max(number, 1)}.png").rename(
                tmp_path / name / "a" / f"{stem}.png"
            )
        (tmp_path / name / "a" / f"{names[0]}.png").write_bytes(b"broken")
        shutil.copy(tmp_path / name / "a" / f"{names[2]}.png", tmp_path / name / "a" / "zz.png")
    assert "(a/z.png = a/zz.png)" in about_copies(load(tmp_path / "first", test=None))[0]
    assert "(a/w.png = a/zz.png)" in about_copies(load(tmp_path / "second", test=None))[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    data = tmp_path / "data"
    save(data / "a", 0, 4)
    save(data / "b", 100, 4)
    load(data, test=None)
    for file in (tmp_path / "cache" / "images").glob("*/copies-*"):
        file.unlink()
        file.parent.chmod(0o500)
    assert load(data, test=None).train.clusters is None


def test_digits_are_loaded_as_before() -> None:
    assert about_copies(datasets.load("digits")) == []
