"""Oracle: names of files that the test makes; which are images is written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fewshot.errors import UserError
from fewshot.model.image_listing import NotRead, listing, summary


def save(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / name, "png")


def test_images_of_all_folders_are_listed_and_other_files_have_a_reason(tmp_path: Path) -> None:
    save(tmp_path, "b.png", "a/2.jpg?width=3", "a/1", ".hidden/3.png", "@eaDir/4.png", ".5.png")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "a" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    (tmp_path / "out.csv").write_text("file,label\n")
    save(tmp_path, "sorted/cat/1.png")
    listed = listing([tmp_path], own=[tmp_path / "out.csv", tmp_path / "sorted"])
    assert [name for name in listed.names if not name.endswith(".heic")] == [
        "a/1",
        "a/2.jpg?width=3",
        "b.png",
    ]
    assert list(map(str, listed.others)) == ["notes.txt (not an image)"]
    assert [note.split(": ")[1] for note in listed.notes] == [
        "left out system folders",
        "left out hidden folders",
        "left out 1 hidden image",
    ]


def test_one_file_is_an_image_or_refused(tmp_path: Path) -> None:
    save(tmp_path, "b.png")
    assert listing([tmp_path / "b.png"]).names == ["b.png"]
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(UserError, match=r"notes\.txt cannot be predicted: not an image"):
        listing([tmp_path / "notes.txt"])


def test_ids_are_sorted_as_numbers_and_must_be_single(tmp_path: Path) -> None:
    save(tmp_path, "10.png", "9.png", "100.png")
    assert listing([tmp_path], kaggle=True).names == ["9.png", "10.png", "100.png"]
    save(tmp_path, "more/09.png")
    with pytest.raises(
        UserError, match=r"9\.png and .*09\.png have the same id|09\.png and 9\.png"
    ):
        listing([tmp_path], kaggle=True)
    save(tmp_path, "cat.png")
    with pytest.raises(UserError, match=r"cat\.png: --kaggle needs files named by integers"):
        listing([tmp_path], kaggle=True)


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(UserError, match=r"holds no images \(notes\.txt \(not an image\)\)"):
        listing([tmp_path])


def test_several_files_and_folders_are_named_as_given_and_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, "a/1.png", "a/deep/2.png", "b.png")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "c.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    words = ["b.png", "a", "a/1.png", "notes.txt", "gone.jpg", "b.png", str(tmp_path / "b.png")]
    listed = listing([Path(word) for word in words])
    assert listed.names == ["b.png", "a/1.png", "a/deep/2.png", f"{tmp_path}/b.png"]
    assert list(map(str, listed.others)) == ["notes.txt (not an image)"]
    assert list(map(str, listed.unreadable)) == [
        "gone.jpg (cannot be opened: No such file or directory)"
    ]
    with pytest.raises(UserError, match=r"none of the files and folders holds an image"):
        listing([Path("notes.txt"), Path("gone.jpg")])


def test_many_files_that_cannot_be_read_are_counted_by_reason() -> None:
    files = [NotRead(f"{n}.png", "empty") for n in range(4)] + [NotRead("x.png", "truncated")] * 3
    assert summary(files[:2]) == "0.png (empty), 1.png (empty)"
    assert summary(files) == (
        "4 empty, 3 truncated: 0.png (empty), 1.png (empty), 2.png (empty), 3.png (empty), "
        "x.png (truncated) and 2 more"
    )
