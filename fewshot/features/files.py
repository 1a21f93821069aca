"""Frozen features of image files, each cached on its own, so that a folder may grow and shrink.

The features of a folder's files under one network share a file of the cache. Its rows are numbers
made from the name, the size and the time of each image file; a changed file has another number.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from episodes.datasets.decoding.image_formats import quiet_pillow
from episodes.datasets.decoding.parallel_decode import decoded_chunks
from episodes.datasets.names import readable_line
from episodes.datasets.source import chunked
from episodes.datasets.stamps import stamp
from episodes.types import Decoding, ImageSet
from fewshot import progress
from fewshot.backbones import Backbone
from fewshot.features import cache, frozen
from fewshot.features.cache import Known

SECONDS_BETWEEN_WRITES = 60  # an interrupted call loses no more work than that
GONE = "no longer there"


class FileFeatures(NamedTuple):
    """The features of some image files.

    Attributes:
        positions: which of the files could be read, int64 [m], ascending.
        features: of these, float32 [m, d].
        broken: position of each other file -> why it could not be read.
    """

    positions: Tensor
    features: Tensor
    broken: dict[int, str]


def of_files(
    backbone: Backbone, folder: Path, names: Sequence[str], decoding: Decoding, device: str
) -> FileFeatures:
    """Return the features of image files, from the cache as far as they are there.

    Pixels of a few hundred images at a time are in memory.

    Args:
        backbone: the network, in evaluation mode, on the device.
        folder: what the names are relative to.
        names: names of the files.
        decoding: how they become pixels.
        device: device of the backbone.
    """
    rows = _row_numbers(folder, names)
    broken = {int(position): GONE for position in np.flatnonzero(rows < 0)}
    if not cache.limit():
        computing = _Computing(backbone, decoding, device)
        known, failed = _completed(None, rows, folder, names, computing)
    else:
        content = f"files {folder.resolve()} {decoding}"
        about = frozen.metadata(backbone, content, device, frozen.fingerprint(backbone))
        about |= {"data": readable_line(folder.resolve().name), "images": cache.FILES}
        path = cache.folder() / f"{about['key']}{cache.SUFFIX}"
        computing = _Computing(backbone, decoding, device, path, about)
        with cache.locked(path):
            known, failed = _completed(cache.read(path, about), rows, folder, names, computing)
        cache.prune(keep=path)
    broken |= failed
    positions = np.array([i for i in range(len(names)) if i not in broken], dtype=np.int64)
    at = np.searchsorted(known.rows, rows[positions])
    features = torch.from_numpy(known.features[at])
    return FileFeatures(torch.from_numpy(positions), features, dict(sorted(broken.items())))


class _Computing:
    """How features are computed and where they are stored.

    Args:
        backbone: the network.
        decoding: how files become pixels.
        device: device of the backbone.
        path: file of the cache; None for none.
        about: its metadata.
    """

    def __init__(
        self,
        backbone: Backbone,
        decoding: Decoding,
        device: str,
        path: Path | None = None,
        about: dict[str, str] | None = None,
    ) -> None:
        self.backbone, self.decoding, self.device = backbone, decoding, device
        self.path, self.about = path, about or {}

    def chunks(self, files: Sequence[Path]) -> Iterator[tuple[np.ndarray, list[str | None]]]:
        """Yield features [m_decoded, d] of chunks of files, and why each was not read, or None."""
        with quiet_pillow():
            for pixels, reasons, _ in decoded_chunks(chunked(list(files)), self.decoding):
                every = torch.arange(len(pixels))
                images = ImageSet("", torch.from_numpy(pixels), every * 0, ("",), "", {})
                features = torch.empty(0, self.backbone.n_features)
                if len(pixels):
                    features = frozen.extract(self.backbone, images, every, self.device)
                yield features.numpy(), reasons

    def store(self, known: Known) -> None:
        """Write the file of the cache, if there is one."""
        if self.path is not None:
            cache.write(self.path, known, self.about)


def _completed(
    known: Known | None,
    rows: np.ndarray,
    folder: Path,
    names: Sequence[str],
    computing: _Computing,
) -> tuple[Known, dict[int, str]]:
    """Return the features that are known, with those of all other files that can be read.

    Args:
        known: what is in the cache.
        rows: number of each file, int64 [n]; -1 for a file that is not there.
        folder, names, computing: as for `of_files`.

    Returns:
        The features, and position -> reason of files that cannot be read.
    """
    width = computing.backbone.n_features
    empty = Known(np.empty(0, np.int64), np.empty((0, width), np.float32), np.empty(0, np.float32))
    known = known or empty
    unique, first = np.unique(rows, return_index=True)
    missing = np.sort(first[(unique >= 0) & ~np.isin(unique, known.rows)])
    if not len(missing):
        return known, {}
    is_current = np.isin(known.rows, unique)
    parts = [Known(known.rows[is_current], known.features[is_current], known.seconds[is_current])]
    reasons: dict[int, str] = {}
    started = stored = before = time.perf_counter()
    n_done = 0
    for features, why in computing.chunks([folder / names[int(i)] for i in missing]):
        positions = missing[n_done : n_done + len(why)]
        n_done += len(why)
        is_good = np.array([reason is None for reason in why])
        reasons |= {
            int(i): reason for i, reason in zip(positions, why, strict=True) if reason is not None
        }
        now = time.perf_counter()
        seconds = np.full(len(features), (now - before) / len(why), np.float32)
        parts.append(Known(rows[positions[is_good]], features, seconds))
        before = now
        per_second = n_done / (now - started)
        left = progress.duration((len(missing) - n_done) / per_second)
        progress.update(
            f"features of {n_done:,} of {len(missing):,} images, {per_second:.0f} a second, "
            f"{left} left"
        )
        if now - stored > SECONDS_BETWEEN_WRITES and n_done < len(missing):
            parts, stored = [_joined(parts)], now
            computing.store(parts[0])
    known = _joined(parts)
    computing.store(known)
    # Another name of a file that cannot be read is the same file.
    by_row = {int(rows[i]): reason for i, reason in reasons.items()}
    return known, {i: by_row[int(row)] for i, row in enumerate(rows) if int(row) in by_row}


def _joined(parts: Sequence[Known]) -> Known:
    """Return several parts as one, by rising row."""
    rows, features, seconds = map(np.concatenate, zip(*parts, strict=True))
    order = np.argsort(rows)
    return Known(rows[order], features[order], seconds[order])


def _row_numbers(folder: Path, names: Sequence[str]) -> np.ndarray:
    """Return a number for each file, from its name, size and times, int64 [n]; -1 if it is gone."""
    rows = np.empty(len(names), dtype=np.int64)
    start = os.fspath(folder)
    for position, name in enumerate(names):
        try:
            status = os.stat(os.path.join(start, name))
        except OSError:
            rows[position] = -1
            continue
        mark = os.fsencode(name) + f"\0{stamp(status)}".encode()
        digest = hashlib.blake2b(mark, digest_size=8).digest()
        rows[position] = int.from_bytes(digest, "little") >> 1
    return rows
