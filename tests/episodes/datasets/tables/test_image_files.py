"""Oracle: the file that a person would take for each text, in small folders made here."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from episodes.datasets.part_names import PartName
from episodes.datasets.tables.image_files import ImageFiles
from episodes.errors import UserError


def make(folder: Path, *names: str) -> ImageFiles:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return ImageFiles(folder)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a/1.jpg", "a/1.jpg"),
        ("./a/1.jpg", "a/1.jpg"),
        ("a\\1.jpg", "a/1.jpg"),
        ("../a/1.jpg", "a/1.jpg"),  # from a folder of tables
        ("/kaggle/input/photos/b/1.jpg", "b/1.jpg"),
        ("D:\\photos\\A\\1.JPG", "a/1.jpg"),
        ("only", "b/only.jpeg"),
        ("ONLY.jpeg", "b/only.jpeg"),
        ("7", "b/0007.png"),
        ("caf\u00e9", "b/cafe\u0301.png"),
        ("v1.2", "b/v1.2.png"),
        ("IMG_1", "b/IMG_1.HEIC"),
    ],
)
def test_the_file_of_a_text(tmp_path: Path, text: str, name: str) -> None:
    names = ["a/1.jpg", "b/1.jpg", "b/only.jpeg", "b/0007.png", "b/cafe\u0301.png", "b/v1.2.png"]
    names.append("b/IMG_1.HEIC")
    files = make(tmp_path, *names)
    file = files.find(text, tmp_path / "tables" / "x.csv", None)
    assert file.stamp is not None
    assert unicodedata.normalize("NFD", file.name) == name


@pytest.mark.parametrize("text", ["2.jpg", "a/9.jpg", "", ".", "a", "1.png", "notes.txt"])
def test_what_names_no_file(tmp_path: Path, text: str) -> None:
    files = make(tmp_path, "a/1.jpg", "notes/notes.txt.bak", ".hidden/2.jpg", "@eaDir/2.jpg")
    assert files.find(text, tmp_path / "x.csv", None).stamp is None


@pytest.mark.parametrize(("part", "name"), [("train", "train/1.jpg"), ("test", "test_set/1.jpg")])
def test_the_part_of_the_table_decides_between_equal_names(
    tmp_path: Path, part: PartName, name: str
) -> None:
    files = make(tmp_path, "train/1.jpg", "test_set/1.jpg")
    assert files.find("1", tmp_path / "x.csv", part).name == name
    with pytest.raises(UserError, match=r"in several folders \(test_set/, train/\)"):
        files.find("1", tmp_path / "x.csv", None)


def test_images_without_a_row_are_listed(tmp_path: Path) -> None:
    files = make(tmp_path, "a/1.jpg", "a/2.jpg", "b/3.jpg", "b/notes.txt")
    assert files.unlisted({"a/1.jpg"}, everywhere=False) == (["a/2.jpg"], 2)
    assert files.unlisted({"a/1.jpg"}, everywhere=True) == (["a/2.jpg", "b/3.jpg"], 3)


def test_a_missing_file_is_not_replaced_by_one_of_another_folder(tmp_path: Path) -> None:
    files = make(tmp_path, "a/2.jpg", "b/1.jpg", "train/images/9.jpg")
    for text in ("a/1.jpg", "/elsewhere/A/1.jpg", "b/2.jpg"):
        assert files.find(text, tmp_path / "x.csv", None).stamp is None
    # A folder that is nowhere may have been renamed, and one may lie between.
    assert files.find("photos/1.jpg", tmp_path / "x.csv", None).name == "b/1.jpg"
    assert files.find("/elsewhere/train/9.jpg", tmp_path / "x.csv", None).name.endswith("s/9.jpg")
