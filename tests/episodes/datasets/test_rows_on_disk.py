"""Rows of numbers on disk, against `np.concatenate`, and against what Linux says of the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from episodes.datasets import rows_on_disk
from episodes.errors import UserError

LIMITED = """
import resource, sys
import numpy as np
from episodes.datasets import rows_on_disk
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
try:
    rows_on_disk.joined((np.zeros((1000, 100)) for _ in range(700)), 700_000)
except rows_on_disk.UserError as error:
    sys.exit(str(error))
"""


def chunks() -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    for n in (3, 1, 0, 5):
        yield random.normal(size=(n, 2, 3)).astype(np.float32)


@pytest.mark.parametrize("most", [0, 2**28])
def test_rows_are_those_of_all_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(rows_on_disk, "MOST_BYTES", most)
    expected = np.concatenate(list(chunks()))
    rows = rows_on_disk.joined(chunks(), 9)
    assert np.array_equal(rows, expected)
    assert rows.dtype == np.float32
    assert np.array_equal(rows_on_disk.joined(chunks(), 7), expected[:7])
    rows[0] = 0  # as an array in memory
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a file's size is that of Linux")
def test_a_full_disk_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("0.6 GB of numbers could not be stored in")
    assert "free some space" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(rows_on_disk, "MOST_BYTES", 0)
    with pytest.raises(UserError, match="FEWSHOT_CACHE"):
        rows_on_disk.joined(chunks(), 9)
