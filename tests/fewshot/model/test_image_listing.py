"""Oracle: names of files that the test makes; which are images is written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fewshot.errors import UserError
from fewshot.model.image_listing import listing


def save(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / name, "png")


def test_images_of_all_folders_are_listed_and_other_files_have_a_reason(tmp_path: Path) -> None:
    save(tmp_path, "b.png", "a/2.jpg?width=3", "a/1", ".hidden/3.png", "@eaDir/4.png", ".5.png")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "a" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    (tmp_path / "out.csv").write_text("file,label\n")
    listed = listing(tmp_path, kaggle=False, out=tmp_path / "out.csv")
    assert [name for name in listed.names if not name.endswith(".heic")] == [
        "a/1",
        "a/2.jpg?width=3",
        "b.png",
    ]
    assert listed.others == ["notes.txt (not an image)"]
    assert [note.split(":")[0] for note in listed.notes] == [
        "left out system folders",
        "left out hidden folders",
        "left out 1 hidden image",
    ]


def test_one_file_is_an_image_or_refused(tmp_path: Path) -> None:
    save(tmp_path, "b.png")
    assert listing(tmp_path / "b.png", False, tmp_path / "out.csv").names == ["b.png"]
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(UserError, match=r"notes\.txt cannot be predicted: not an image"):
        listing(tmp_path / "notes.txt", False, tmp_path / "out.csv")


def test_ids_are_sorted_as_numbers_and_must_be_single(tmp_path: Path) -> None:
    save(tmp_path, "10.png", "9.png", "100.png")
    assert listing(tmp_path, True, tmp_path / "x.csv").names == ["9.png", "10.png", "100.png"]
    save(tmp_path, "more/09.png")
    with pytest.raises(
        UserError, match=r"9\.png and .*09\.png have the same id|09\.png and 9\.png"
    ):
        listing(tmp_path, True, tmp_path / "x.csv")
    save(tmp_path, "cat.png")
    with pytest.raises(UserError, match=r"cat\.png: --kaggle needs files named by integers"):
        listing(tmp_path, True, tmp_path / "x.csv")


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(UserError, match=r"holds no images \(notes\.txt \(not an image\)\)"):
        listing(tmp_path, False, tmp_path / "x.csv")
