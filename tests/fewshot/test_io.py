"""Files are written whole or not at all, and are read back as they were written.

Oracle: the errors of the file system, such as that of a limit of the size of files.
"""

import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from episodes.errors import UserError
from fewshot import io


def test_writing_replaces_whole_files_and_leaves_nothing_beside_them(tmp_path: Path):
    path = tmp_path / "record.json"
    io.write_bytes(path, b"old and longer")
    io.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("size", [3, 1_000_000], ids=["fails when flushed", "fails when written"])
@pytest.mark.parametrize("existed", [True, False])
def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path: Path, size: int, existed: bool):
    path = tmp_path / "record.json"
    if existed:
        path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, limits[1]))  # no file may grow longer
    try:
        with pytest.raises(UserError, match="File too large") as error:
            io.write_bytes(path, b"x" * size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(path) in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == (["record.json"] if existed else [])
    assert not existed or path.read_bytes() == b"old"


@pytest.mark.parametrize("place", ["missing/record.json", "file/record.json", "folder"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as error:
        io.write_bytes(tmp_path / place, b"x")
    assert str(tmp_path / place) in str(error.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


@pytest.mark.parametrize("place", ["file/.lock", "folder"])
def test_a_lock_that_cannot_be_made_is_an_error_that_names_its_folder(tmp_path: Path, place: str):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    lock = tmp_path / place
    with pytest.raises(UserError, match="cannot be locked") as error, io.locked(lock):
        pytest.fail("it must not be entered")
    assert str(lock.parent) in str(error.value)
    with pytest.raises(OSError, match="of the block"), io.locked(tmp_path / "own.lock"):
        raise OSError("an error of the block is its own")
    with io.locked(tmp_path / "own.lock"):  # which released the lock
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/deeper") as error:
        io.make_folder(tmp_path / "file" / "deeper")
    assert "--out" in str(error.value)
    io.make_folder(tmp_path / "a" / "b")
    io.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_arrays_tensors_and_json_come_back_as_they_went(tmp_path: Path):
    array = np.arange(6, dtype=np.float16).reshape(2, 3)
    io.write_arrays(tmp_path / "a.npz", {"logits": array})
    with np.load(tmp_path / "a.npz") as loaded:
        assert loaded["logits"].dtype == array.dtype
        assert loaded["logits"].tolist() == array.tolist()
    state = {"step": 3, "weights": {"w": torch.arange(3.0)}, "history": [{"loss": 0.1}]}
    io.write_tensors(tmp_path / "a.pt", state)
    again = io.read_tensors(tmp_path / "a.pt")
    assert torch.equal(again["weights"].pop("w"), state["weights"].pop("w"))
    assert again == state
    io.write_json(tmp_path / "a.json", {"mean": 0.1, "std": None})
    assert io.read_json(tmp_path / "a.json") == {"mean": 0.1, "std": None}
    with pytest.raises(ValueError, match="nan"):
        io.write_json(tmp_path / "b.json", {"mean": float("nan")})
    assert not (tmp_path / "b.json").exists()
