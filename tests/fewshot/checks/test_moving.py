"""Moving of images with faults, and moving them back. Oracle: the files before and after."""

from __future__ import annotations

import csv
import dataclasses
import errno
import os
from pathlib import Path

import pytest

from fewshot.checks import moving
from fewshot.checks.check import check
from fewshot.checks.report import Report
from fewshot.errors import UserError
from tests.fewshot.checks import photos

KINDS = ["broken", "exact copy", "near copy", "same image in two classes", "dark"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = photos.save(tmp_path / "photos", 4)
    photos.plant(folder)
    return folder


def reported(folder: Path) -> Report:
    return check(str(folder), only=KINDS)


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_facts_are_moved_and_guesses_are_listed(folder: Path, tmp_path: Path) -> None:
    before, target = content(folder), tmp_path / "moved"
    moved = moving.move(reported(folder), target)
    after, away = content(folder), content(target)
    assert set(before) - set(after) == {"cat/broken.png", "cat/copy.png"}
    assert {name: away[name] for name in set(before) - set(after)} == {
        name: before[name] for name in set(before) - set(after)
    }
    assert [(row["image"], row["kind"]) for row in rows(moved.table)] == [
        ("cat/broken.png", "broken"),
        ("cat/copy.png", "exact copy"),
    ]
    listed = rows(target / moving.NOT_MOVED)
    assert {row["kind"] for row in listed} == {"same image in two classes", "dark"}
    assert not any(row["moved_to"] for row in listed)
    assert (moved.n_moved, moved.n_listed) == (2, len(listed))


def test_a_file_that_cannot_be_opened_is_only_listed(folder: Path, tmp_path: Path) -> None:
    report, why = reported(folder), "cannot be opened: Permission denied"
    findings = [
        finding._replace(words=why) if finding.kind == "broken" else finding
        for finding in report.findings
    ]
    moving.move(dataclasses.replace(report, findings=tuple(findings)), tmp_path / "moved")
    assert (folder / "cat/broken.png").exists()
    listed = rows(tmp_path / "moved" / moving.NOT_MOVED)
    assert ("cat/broken.png", why) in [(row["image"], row["why"]) for row in listed]


def test_what_was_moved_is_moved_back(folder: Path, tmp_path: Path) -> None:
    before, target = content(folder), tmp_path / "moved"
    moving.move(reported(folder), target, KINDS)
    assert content(folder) != before
    n_moved = moving.undo(folder, target)
    assert n_moved == 4
    assert content(folder) == before
    assert not target.exists()


def test_nothing_is_overwritten_in_either_direction(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "moved"
    (target / "cat").mkdir(parents=True)
    (target / "cat" / "copy.png").write_bytes(b"mine")
    times = (folder / "cat" / "copy.png").stat()  # equal times are not equal files
    os.utime(target / "cat" / "copy.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    moving.move(reported(folder), target)
    assert (target / "cat" / "copy.png").read_bytes() == b"mine"
    assert (target / "cat" / "copy (2).png").exists()
    (folder / "cat" / "copy.png").write_bytes(b"new")
    assert moving.undo(folder, target) == 1  # the broken one
    assert (folder / "cat" / "copy.png").read_bytes() == b"new"
    assert [row["moved_to"] for row in rows(target / moving.MOVED)] == ["cat/copy (2).png"]


def test_an_interrupted_move_can_be_undone_and_repeated(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, target, report = content(folder), tmp_path / "moved", reported(folder)
    real = moving._move

    def interrupted(source: Path, place: Path) -> None:
        if source.name == "copy.png":
            raise KeyboardInterrupt
        real(source, place)

    with monkeypatch.context() as patch:
        patch.setattr(moving, "_move", interrupted)
        with pytest.raises(KeyboardInterrupt):
            moving.move(report, target)
    assert [row["image"] for row in rows(target / moving.MOVED)] == [
        "cat/broken.png",
        "cat/copy.png",
    ]
    moving.move(reported(folder), target)
    assert [row["image"] for row in rows(target / moving.MOVED)] == [
        "cat/broken.png",
        "cat/copy.png",
    ]
    moving.undo(folder, target)
    assert content(folder) == before


@pytest.mark.parametrize("kind", ["link", "file on another file system"])
def test_a_move_that_was_killed_between_its_halves_is_completed(
    kind: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "link":
        (folder / "cat" / "copy.png").unlink()
        (folder / "cat" / "copy.png").symlink_to("01.png")
    before, target, unlink = content(folder), tmp_path / "moved", Path.unlink

    def other_file_system(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.name == "copy.png":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    monkeypatch.setattr(os, "rename", other_file_system)
    for act in (
        lambda: moving.move(reported(folder), target),
        lambda: moving.undo(folder, target),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", killed)
            with pytest.raises(KeyboardInterrupt):
                act()
        assert (folder / "cat" / "copy.png").exists()
        assert (target / "cat" / "copy.png").exists()
        act()
        assert (folder / "cat" / "copy.png").exists() != (target / "cat" / "copy.png").exists()
        assert {path.name for path in target.rglob("*.png")} <= {"copy.png", "broken.png"}
    assert content(folder) == before
    assert not target.exists()


def test_links_point_to_their_files_from_the_new_place(folder: Path, tmp_path: Path) -> None:
    copy = folder / "cat" / "copy.png"
    copy.unlink()
    copy.symlink_to("01.png")
    moving.move(reported(folder), tmp_path / "moved")
    moved = [path for path in (tmp_path / "moved" / "cat").iterdir() if path.is_symlink()]
    assert [os.path.realpath(path) for path in moved] == [str(folder / "cat" / "01.png")]


@pytest.mark.parametrize("name", ["00-first.png", "zz-last.png"])
def test_a_file_stays_while_a_link_leads_to_it(folder: Path, tmp_path: Path, name: str) -> None:
    before = content(folder)
    (folder / "cat" / name).symlink_to("03.png")
    moving.move(reported(folder), tmp_path / "moved")
    assert all(path.exists() for path in folder.rglob("*"))
    assert (folder / "cat" / "03.png").read_bytes() == before["cat/03.png"]
    moving.undo(folder, tmp_path / "moved")
    assert content(folder) == {**before, f"cat/{name}": before["cat/03.png"]}


def test_all_but_one_of_the_links_to_a_file_are_moved(folder: Path, tmp_path: Path) -> None:
    for name in ("00-first.png", "zz-last.png"):
        (folder / "cat" / name).symlink_to("03.png")
    moving.move(reported(folder), tmp_path / "moved")
    assert (folder / "cat" / "03.png").is_file()
    assert (folder / "cat" / "00-first.png").exists()
    assert not (folder / "cat" / "zz-last.png").is_symlink()


def test_files_of_linked_folders_stay_where_they_are(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (folder / "cat").rename(elsewhere)
    (folder / "cat").symlink_to(elsewhere)
    before = content(elsewhere)
    assert moving.move(reported(folder), tmp_path / "moved").n_moved == 0
    assert content(elsewhere) == before


def test_folders_that_would_become_data_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lies in the data set"):
        moving.check_target(str(folder), folder / "moved")
    with pytest.raises(UserError, match="which digits is not"):
        moving.check_target("digits", tmp_path / "moved")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="this is a file"):
        moving.check_target(str(folder), tmp_path / "file")
    with pytest.raises(UserError, match="cannot be read"):
        moving.undo(folder, tmp_path / "nothing")
    with pytest.raises(UserError, match="is no folder"):
        moving.undo(tmp_path / "mistyped", tmp_path)
    (tmp_path / moving.MOVED).write_text("from,to\na.png,b.png\n")
    with pytest.raises(UserError, match="is not a table of --fix"):
        moving.undo(folder, tmp_path)
    assert not (tmp_path / "mistyped").exists()
