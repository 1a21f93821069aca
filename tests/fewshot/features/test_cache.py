"""The bounded folder of features.

Oracle: files of known sizes and times, and a record of the files that are opened.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from episodes.errors import UserError
from fewshot.features import cache

ABOUT = {
    "key": "a",
    "data": "some",
    "images": "1000",
    "backbone": "net",
    "computed": "float32 cpu",
    "d": "100",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    return tmp_path / "features"


def put(name: str, n: int = 100) -> Path:
    """Write a file of n rows with 100 features, 400 bytes a row, and a short header."""
    path = cache.folder() / f"{name}{cache.SUFFIX}"
    with cache.locked(path):
        rows = np.arange(n)
        known = cache.Known(rows, np.ones((n, 100), np.float32), np.ones(n, np.float32))
        cache.write(path, known, {**ABOUT, "key": name})
    cache.prune(keep=path)
    return path


def names() -> set[str]:
    return {path.name.partition(".")[0] for path, _ in cache.files()}


def test_the_file_used_longest_ago_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE_GB", "0.000130")  # three files of 40,000 bytes and more
    for age, name in enumerate("abc"):
        os.utime(put(name), (1000 + age, 1000 + age))
    assert names() == {"a", "b", "c"}
    path = cache.folder() / f"a{cache.SUFFIX}"
    assert cache.read(path, {**ABOUT, "key": "a"}) is not None  # used now
    assert path.stat().st_mtime > time.time() - 100
    os.utime(path, (time.time() + 10**8,) * 2)  # by a clock that was set back since
    assert cache.read(path, {**ABOUT, "key": "a"}) is not None
    assert path.stat().st_mtime < time.time() + 100
    put("d")
    assert names() == {"a", "c", "d"}
    assert sum(stat.st_size for _, stat in cache.files()) <= 130_000
    os.utime(put("e", 200), (1, 1))
    assert names() == {"d", "e"}


def test_a_file_that_did_not_change_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last two files stay in memory, except large ones; a changed file is read again."""
    opened: list[str] = []
    whole = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path.name[0]) or whole(path))
    paths = {name: put(name) for name in "abc"}

    def read(name: str) -> int:
        known = cache.read(paths[name], {**ABOUT, "key": name})
        return 0 if known is None else len(known.rows)

    assert [read(name) for name in "ababab"] == [100] * 6
    assert opened == ["a", "b"]
    put("a", 200)
    assert (read("a"), read("a"), read("b")) == (200, 200, 100)
    assert opened == ["a", "b", "a"]
    # the third file replaced the one that was used before the last
    assert [read(name) for name in "cab"] == [100, 200, 100]
    assert opened == ["a", "b", "a", "c", "a", "b"]
    paths["b"].unlink()
    assert read("b") == 0
    monkeypatch.setattr(cache, "HELD_BYTES", 50_000)
    assert (read("a"), read("a")) == (200, 200)
    assert opened[6:] == ["b", "a"]  # the file in memory stays until it is read once more


def test_the_file_just_written_and_one_in_use_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(put("a"), (1, 1))
    os.utime(put("b"), (2, 2))
    path = put("c")
    os.utime(path, (0, 0))  # as after a clock was set back
    monkeypatch.setenv("FEWSHOT_CACHE_GB", "0.000050")
    with cache.locked(cache.folder() / f"a{cache.SUFFIX}"):
        cache.prune(keep=path)
    assert names() == {"a", "c"}
    cache.prune(keep=path)
    assert names() == {"c"}


def test_files_of_earlier_versions_and_killed_processes_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    for name in ("old.npy", "b.safetensors.123.part"):
        (folder / name).write_bytes(bytes(50_000))
        os.utime(folder / name, (1, 1))
    monkeypatch.setenv("FEWSHOT_CACHE_GB", "0.000050")
    put("a")
    assert names() == {"a"}


def test_a_file_beyond_the_limit_alone_is_not_cached(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put("a")
    monkeypatch.setenv("FEWSHOT_CACHE_GB", "0.00005")
    put("b", n=200)
    assert names() == {"a"}
    assert "are not cached" in caplog.text


@pytest.mark.parametrize(
    ("text", "size"), [("", 4_000_000_000), ("0.5", 500_000_000), ("0", 0), (" 2 ", 2 * 10**9)]
)
def test_the_limit_is_read(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE_GB", text)
    assert cache.limit() == size


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf", "4GB"])
def test_a_limit_that_is_no_size_is_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE_GB", text)
    with pytest.raises(UserError, match=f"FEWSHOT_CACHE_GB is '{text}': a number of gigabytes"):
        cache.limit()


def test_a_large_file_is_checked_in_little_time(tmp_path: Path) -> None:
    path = cache.folder() / f"big{cache.SUFFIX}"
    cache.folder().mkdir()
    rows = np.arange(100_000)
    cache.write(
        path,
        cache.Known(rows, np.ones((100_000, 250), np.float32), np.ones(100_000, np.float32)),
        {**ABOUT, "images": "100000", "d": "250"},
    )
    content = path.read_bytes()
    assert len(content) > 100_000_000
    began = time.process_time()
    assert cache._problem(content) is None
    assert time.process_time() - began < 0.3


def test_a_folder_that_cannot_be_locked_is_named(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.lock").mkdir()
    with (
        pytest.raises(UserError, match=r"features cannot be locked .* set FEWSHOT_CACHE"),
        cache.locked(folder / "a"),
    ):
        pass
