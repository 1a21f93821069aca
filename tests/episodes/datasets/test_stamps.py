"""The stamp of a file changes with the file. Oracle: files changed in ways of their own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from episodes.datasets.stamps import stamp


@pytest.mark.parametrize("way", ["written in place", "replaced", "copied with its time", "grown"])
def test_a_changed_file_has_another_stamp(tmp_path: Path, way: str) -> None:
    path, other = tmp_path / "image", tmp_path / "other"
    for place, content in ((path, b"first"), (other, b"other")):
        place.write_bytes(content)
        os.utime(place, (1, 1))
    before = path.stat()
    assert stamp(path.stat()) == stamp(before)
    if way == "written in place":
        path.write_bytes(b"third")
        os.utime(path, (1, 1))
    elif way == "replaced":
        os.replace(other, path)
    elif way == "copied with its time":
        shutil.copy2(other, path)
    else:
        path.write_bytes(b"longer")
        os.utime(path, (1, 1))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert stamp(path.stat()) != stamp(before)
