"""No file that is read runs code; oracle: pickles that would create a folder."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from episodes.datasets import load
from fewshot import backbones
from fewshot.errors import UserError
from fewshot.training.checkpoint import Checkpoint


class Payload:
    """Pickles as a call that creates a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.marker,)


def by_pickle(payload: Payload, path: Path) -> None:
    path.write_bytes(pickle.dumps(payload))


def by_torch(payload: Payload, path: Path) -> None:
    torch.save({"state_dict": payload}, path)


def by_numpy(payload: Payload, path: Path) -> None:
    np.save(path, np.array([payload], dtype=object), allow_pickle=True)


WAYS = (by_pickle, by_torch)


@pytest.mark.parametrize("write", WAYS)
@pytest.mark.parametrize("suffix", [".pth", ".bin", ".safetensors"])
def test_weights(tmp_path: Path, write: Callable[[Payload, Path], None], suffix: str) -> None:
    write(Payload(tmp_path / "made"), tmp_path / f"weights{suffix}")
    with pytest.raises(UserError):
        backbones.build("conv4", weights=str(tmp_path / f"weights{suffix}"))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("write", WAYS)
def test_checkpoints(tmp_path: Path, write: Callable[[Payload, Path], None]) -> None:
    write(Payload(tmp_path / "made"), tmp_path / "checkpoint.pt")
    assert Checkpoint.read(tmp_path / "checkpoint.pt", torch.device("cpu")) is None
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("write", "name"),
    [(by_pickle, "x.pkl"), (by_numpy, "x.npy"), (by_pickle, "x.npy"), (by_pickle, "data.npz")],
)
def test_data_sets(tmp_path: Path, write: Callable[[Payload, Path], None], name: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    np.save(folder / "y.npy", np.zeros(1))
    write(Payload(tmp_path / "made"), folder / name)
    for place in (folder, folder / name):
        with pytest.raises(UserError):
            load(str(place), cache=tmp_path / "cache")
    assert not (tmp_path / "made").exists()
