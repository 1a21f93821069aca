"""Oracle: the names in a folder, and processes that are killed while they write."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from episodes.datasets import drafts

# Writes $1, or a folder beside it, and stops in the middle.
WRITE = """
import sys
from pathlib import Path
from episodes.datasets import drafts
path = Path(sys.argv[1])
if sys.argv[2] == "file":
    with drafts.draft(path) as file:
        file.write(b"half")
        file.flush()
        print("written", flush=True)
        sys.stdin.read()
with drafts.draft_folder(path.parent) as folder:
    (folder / "inside").write_text("half")
    print("written", flush=True)
    sys.stdin.read()
"""


def writing(path: Path, kind: str) -> subprocess.Popen[str]:
    """Return a process in the middle of a draft."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, path, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(autouse=True)
def _search_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "SECONDS_BETWEEN_SEARCHES", 0.0)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_removed_and_what_is_being_written_stays(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b"old")
    process = writing(path, kind)
    with drafts.draft(tmp_path / "other") as file:
        file.write(b"other")
    assert len(names(tmp_path)) == 3  # with its draft, which is in use
    process.kill()
    process.communicate()
    assert len(names(tmp_path)) == 3
    with drafts.draft(tmp_path / "other") as file:
        file.write(b"again")
    assert names(tmp_path) == ["other", "record.json"]
    assert path.read_bytes() == b"old"
    assert (tmp_path / "other").read_bytes() == b"again"


def test_an_error_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), drafts.draft(path) as file:
        file.writelines([b"new", "no bytes"])  # type: ignore[list-item]
    assert names(tmp_path) == ["a"]
    assert path.read_bytes() == b"old"


def test_a_folder_is_removed_unless_it_was_renamed(tmp_path: Path) -> None:
    with drafts.draft_folder(tmp_path) as folder:
        (folder / "inside").write_text("")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert names(tmp_path) == []
    with drafts.draft_folder(tmp_path) as folder:
        (folder / "inside").write_text("")
        os.replace(folder, tmp_path / "whole")
    assert names(tmp_path) == ["whole"]
    assert names(tmp_path / "whole") == ["inside"]


def test_other_programs_files_links_and_pipes_stay(tmp_path: Path) -> None:
    others = ["photo.jpg.part", ".fewshot-notes", "record.json.12.part"]
    for name in others:
        (tmp_path / name).write_text("")
    (tmp_path / ".fewshot-1-0.part").symlink_to(tmp_path / others[0])
    os.mkfifo(tmp_path / ".fewshot-2-0.part")
    (tmp_path / ".fewshot-3-0.part").write_text("abandoned")
    drafts.remove_abandoned(tmp_path)
    assert {*others, ".fewshot-1-0.part"} <= set(names(tmp_path))
    assert ".fewshot-3-0.part" not in names(tmp_path)


def test_threads_that_write_and_search_at_once_disturb_none(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in range(50):
                with drafts.draft(tmp_path / "same") as file:
                    file.write(b"%d %d" % (number, turn) * 1000)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert names(tmp_path) == ["same"]
    content = (tmp_path / "same").read_bytes()
    assert content == content[: len(content) // 1000] * 1000


def test_a_long_name_is_no_obstacle(tmp_path: Path) -> None:
    with drafts.draft(tmp_path / ("x" * 255)) as file:
        file.write(b"y")
    assert names(tmp_path) == ["x" * 255]
