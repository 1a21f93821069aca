"""Finished parts of a work, whatever a killed process left of them."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from episodes.errors import UserError
from fewshot.model.partial_file import Parts

CONTENT = {"first": {"rows": "a,b\n"}, "second": [1, None, "\udcff ü"], "third": "x" * 5000}


def written(out: Path) -> Path:
    with Parts(out) as parts:
        for key, content in CONTENT.items():
            parts[key] = content
    return parts.path


def read(out: Path) -> dict:
    with Parts(out) as parts:
        return {key: parts[key] for key in CONTENT if key in parts}


def test_saved_parts_are_read_again(tmp_path: Path) -> None:
    path = written(tmp_path / "new" / "out.csv")
    assert path.parent == tmp_path / "new"
    assert read(tmp_path / "new" / "out.csv") == CONTENT
    with Parts(tmp_path / "new" / "out.csv") as parts:
        parts["first"] = 2  # the last one counts
        assert parts["first"] == 2
        parts.remove()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_line_torn_anywhere_is_forgotten_and_the_next_one_whole(tmp_path: Path) -> None:
    whole = written(tmp_path / "out.csv").read_bytes()
    ends = [0, *(i + 1 for i, byte in enumerate(whole) if byte == ord("\n"))]
    for cut in [
        0,
        1,
        8,
        9,
        *(end + step for end in ends[1:3] for step in (-2, -1, 0, 1, 9)),
        len(whole) - 1,
    ]:
        (tmp_path / "out.csv.partial").write_bytes(whole[:cut])
        n = sum(end <= cut for end in ends[1:])
        assert read(tmp_path / "out.csv") == dict(list(CONTENT.items())[:n]), cut
        with Parts(tmp_path / "out.csv") as parts:
            parts["third"] = "again"
        assert read(tmp_path / "out.csv")["third"] == "again"


@pytest.mark.parametrize("damage", [b"\0", b"\n", b"y"])
def test_a_damaged_line_and_what_follows_are_forgotten(damage: bytes, tmp_path: Path) -> None:
    path = written(tmp_path / "out.csv")
    whole = path.read_bytes()
    middle = whole.index(b"\n") + 20  # in the second line
    path.write_bytes(whole[:middle] + damage + whole[middle + 1 :])
    assert read(tmp_path / "out.csv") == {"first": CONTENT["first"]}


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom fewshot.model.partial_file import Parts\n"
        "with Parts(Path(sys.argv[1])):\n    print('in', flush=True)\n    sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "out.csv"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "in\n"
    with (
        pytest.raises(UserError, match=r"another process is writing .*out\.csv\.partial"),
        Parts(tmp_path / "out.csv"),
    ):
        pass
    other.kill()
    other.communicate()
    assert read(tmp_path / "out.csv") == {}  # a killed one holds nothing up


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"), Parts(tmp_path / "file" / "out.csv"):
        pass
    (tmp_path / "out.csv.partial").mkdir()
    with (
        pytest.raises(UserError, match=r"out\.csv\.partial could not be written"),
        Parts(tmp_path / "out.csv"),
    ):
        pass


def test_a_full_disk_is_an_error_and_leaves_the_saved_parts(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Parts(tmp_path / "out.csv") as parts:
        parts["first"] = CONTENT["first"]
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # no file may grow longer
        try:
            with pytest.raises(
                UserError, match=r"out\.csv\.partial could not be written \(File too large\)"
            ):
                parts["third"] = CONTENT["third"]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read(tmp_path / "out.csv") == {"first": CONTENT["first"]}
