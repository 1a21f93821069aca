"""Folders of images without classes. Oracle: the files that the test writes."""

from __future__ import annotations

from pathlib import Path

from episodes.datasets import loose_files
from tests.episodes.datasets.samples import save_image


def test_all_images_of_a_folder_are_one_class_without_a_name(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "deep/c.png"):
        save_image(tmp_path / name, 1)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "bare").write_bytes((tmp_path / "b.png").read_bytes())  # without a suffix
    source = loose_files.source(tmp_path, "pile")
    assert source is not None
    content = source.read()
    names = [content.train.name_of(i) for i in range(len(content.train.labels))]
    assert names == ["a.jpg", "b.png", "bare", "deep/c.png"]
    assert [path for chunk in content.train.chunks() for path in chunk] == [
        tmp_path / name for name in names
    ]
    assert content.classes == ("",)


def test_a_folder_without_images_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    assert loose_files.source(tmp_path, "pile") is None
