"""CIFAR-10: its superclasses and its download.

Source:
    A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

import http.client
import logging
import os
import shutil
import tarfile
from pathlib import Path

from episodes.datasets import network
from episodes.errors import NotHere

BATCHES = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
GROUPS = {
    "vehicle": ("airplane", "automobile", "ship", "truck"),
    "animal": ("bird", "cat", "deer", "dog", "frog", "horse"),
}


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
                (unfinished / ARCHIVE).unlink(missing_ok=True)  # a kill would leave it behind
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
    with network.downloading():
        CIFAR10(str(folder), download=True)
