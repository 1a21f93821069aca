"""CIFAR-10: its superclasses, its original Python batches and their download.

Source:
    A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
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
REMEDY = "extract the CIFAR-10 archive again"

_ALLOWED_IN_PICKLES = {
    "numpy": {"ndarray", "dtype"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "_codecs": {"encode"},
}
_UNPICKLING_ERRORS = (
    OSError,
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)


def source(folder: Path, name: str) -> Source | None:
    """Locate the original batches in a folder or in its `cifar-10-batches-py`.

    Returns:
        None if the folder holds no batches.
    """
    if not folder.is_dir():
        return None
    for place in (folder, folder / BATCHES):
        train = sorted(place.glob("data_batch_*"))
        test, meta = place / "test_batch", place / "batches.meta"
        if train and test.is_file() and meta.is_file():
            return _source(name, train, test, meta)
    return None


def _source(name: str, train: list[Path], test: Path, meta: Path) -> Source:
    files = tuple((path.name, path.stat()) for path in (*train, test, meta))
    return Source(name, "rows", files, (), lambda: _read(train, test, meta))


def _read(train: list[Path], test: Path, meta: Path) -> Content:
    names = _unpickled(meta).get(b"label_names")
    if not isinstance(names, list):
        raise UserError(f"{meta} has no list label_names: {REMEDY}.")
    classes = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
    return Content(classes, _part(train, len(classes)), _part([test], len(classes)))


def _part(paths: list[Path], n_classes: int) -> Part:
    pixels, labels, image_names = [], [], []
    for path in paths:
        own_pixels, own_labels = _batch(path, n_classes)
        pixels.append(own_pixels)
        labels.append(own_labels)
        image_names += [f"{path.name} row {row}" for row in range(len(own_labels))]
    images = np.concatenate(pixels)
    return Part(np.concatenate(labels), image_names.__getitem__, lambda: chunked(images))


def _batch(path: Path, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Read the pixels, uint8 [n, 32, 32, 3], and labels, int64 [n], of one batch file."""
    content = _unpickled(path)
    rows, labels = content.get(b"data"), np.asarray(content.get(b"labels", []))
    expected = np.dtype(np.uint8), (len(labels), 3072)
    if not isinstance(rows, np.ndarray) or (rows.dtype, rows.shape) != expected:
        raise UserError(f"{path} is not a CIFAR-10 batch: {REMEDY}.")
    if len(labels) and not 0 <= labels.min() <= labels.max() < n_classes:
        raise UserError(f"{path} has labels outside 0..{n_classes - 1}: {REMEDY}.")
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels.astype(np.int64)


class _ArraysOnly(pickle.Unpickler):
    """Unpickle NumPy arrays and plain containers; refuse everything else, which could run code."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core", "numpy._core")
        if name not in _ALLOWED_IN_PICKLES.get(module, set()):
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return super().find_class(module, name)


def _unpickled(path: Path) -> dict[bytes, Any]:
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="bytes").load()
    except _UNPICKLING_ERRORS as error:
        raise UserError(f"{path} cannot be read ({error}): {REMEDY}.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a CIFAR-10 batch: {REMEDY}.")
    return content


def download(root: Path) -> Path:
    """Download CIFAR-10 to <root>/cifar10; torchvision verifies its checksum.

    One process downloads while others wait. An unfinished download is never used.

    Returns:
        <root>/cifar10.

    Raises:
        NotHere: the download failed.
    """
    from filelock import FileLock

    target, unfinished = root / "cifar10", root / ".cifar10.partial"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".cifar10.lock"):
            if not target.exists():
                _fetch(unfinished)
                os.rename(unfinished / BATCHES, target)
                shutil.rmtree(unfinished, ignore_errors=True)
    except (OSError, RuntimeError, http.client.HTTPException, tarfile.TarError, EOFError) as error:
        raise NotHere(
            f"cifar10 is not in {root}, and its download failed ({error}). Connect to a network, "
            "set FEWSHOT_DATA to the folder that holds cifar10/, or give a path to the images as "
            "data."
        ) from error
    return target


def _fetch(folder: Path) -> None:
    from torchvision.datasets import CIFAR10

    logging.getLogger("fewshot").warning("downloading CIFAR-10 (170 MB); this happens once")
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
        CIFAR10(str(folder), download=True)
