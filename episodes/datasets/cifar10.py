"""CIFAR-10: its superclasses, the original batches, and their download.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import pickle
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from episodes.datasets.source import Content, Part, Source, chunked
from episodes.errors import NotHere, UserError

BATCHES = "cifar-10-batches-py"
GROUPS = {
    "vehicle": ("airplane", "automobile", "ship", "truck"),
    "animal": ("bird", "cat", "deer", "dog", "frog", "horse"),
}


def source(folder: Path, name: str) -> Source | None:
    """The original Python batches in a folder or in its `cifar-10-batches-py`; None where there are none."""
    for place in (folder, folder / BATCHES):
        train, test, meta = (
            sorted(place.glob("data_batch_*")),
            place / "test_batch",
            place / "batches.meta",
        )
        if train and test.is_file() and meta.is_file():
            files = tuple((path.name, path.stat()) for path in (*train, test, meta))
            return Source(name, "rows", files, (), lambda: _read(train, test, meta))  # noqa: B023 - returns at once
    return None


def _read(train: list[Path], test: Path, meta: Path) -> Content:
    names = _unpickled(meta).get(b"label_names")
    if not isinstance(names, list):
        raise UserError(f"{meta} holds no label_names: extract the CIFAR-10 archive again.")
    classes = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
    return Content(classes, _part(train, len(classes)), _part([test], len(classes)))


def _part(batches: list[Path], n_classes: int) -> Part:
    pixels, labels, origin = [], [], []
    for path in batches:
        batch = _unpickled(path)
        data, own = batch.get(b"data"), np.asarray(batch.get(b"labels", []))
        if (
            not isinstance(data, np.ndarray)
            or data.dtype != np.uint8
            or data.shape != (len(own), 3072)
        ):
            raise UserError(f"{path} is no CIFAR-10 batch: extract the CIFAR-10 archive again.")
        if len(own) and not 0 <= own.min() <= own.max() < n_classes:
            raise UserError(f"{path} has labels outside 0..{n_classes - 1}.")
        pixels.append(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(own.astype(np.int64))
        origin += [f"{path.name} row {row}" for row in range(len(own))]
    images = np.concatenate(pixels)
    return Part(np.concatenate(labels), origin.__getitem__, lambda: chunked(images))


class _ArraysOnly(pickle.Unpickler):
    """Reads NumPy arrays and plain containers; whatever else a pickle may ask for is refused."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core", "numpy._core")
        arrays = {
            "numpy": {"ndarray", "dtype"},
            "numpy._core.multiarray": {"_reconstruct", "scalar"},
            "_codecs": {"encode"},
        }
        if name not in arrays.get(module, set()):
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return super().find_class(module, name)


def _unpickled(path: Path) -> dict[bytes, Any]:
    try:
        with path.open("rb") as file:
            read = _ArraysOnly(file, encoding="bytes").load()
    except (
        OSError,
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
    ) as error:
        raise UserError(
            f"{path} cannot be read ({error}): extract the CIFAR-10 archive again."
        ) from error
    if not isinstance(read, dict):
        raise UserError(f"{path} is no CIFAR-10 batch: extract the CIFAR-10 archive again.")
    return read


def download(root: Path) -> Path:
    """Fetches CIFAR-10 to <root>/cifar10, which it returns; torchvision checks its checksum.

    One process fetches while others wait; an unfinished download is never taken for a whole one.
    """
    from filelock import FileLock

    target, partial = root / "cifar10", root / ".cifar10.partial"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".cifar10.lock"):
            if not target.exists():
                _fetch(partial)
                os.rename(partial / BATCHES, target)
                shutil.rmtree(partial, ignore_errors=True)
    except (OSError, RuntimeError, http.client.HTTPException, tarfile.TarError, EOFError) as error:
        raise NotHere(
            f"cifar10 is not in {root}, and its download failed ({error}). Connect to a network, set "
            "FEWSHOT_DATA to the folder that holds cifar10/, or give a path to the images as data."
        ) from error
    return target


def _fetch(folder: Path) -> None:
    from torchvision.datasets import CIFAR10

    print("downloading CIFAR-10 (170 MB), once", file=sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):  # stdout belongs to the table or the record
        CIFAR10(str(folder), download=True)
