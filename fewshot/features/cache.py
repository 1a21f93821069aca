"""Files of cached features, in a folder of bounded size.

A file, <cache>/features/<key>.safetensors, contains features of one set of images under one
network: `rows` (int64 [m], image indices, ascending), `features` (float32 [m, d]) and `seconds`
(float32 [m], what computing each row took). Its metadata name the images and the network, and the
CRC-32 of the whole file, computed with dashes in place of the checksum itself, so that no byte
changes unnoticed. A file is read, extended and written under its lock. The files that were used
longest ago are removed first.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from episodes.datasets import drafts
from episodes.datasets.locations import cache_root
from episodes.errors import DAMAGED_JSON
from fewshot import io
from fewshot.errors import UserError, one_line
from fewshot.io import make_folder, write_bytes

SUFFIX, LOCK = ".safetensors", ".lock"
FILES = "files"  # in place of the number of images, if rows are numbers made from files
LARGEST_GB = 4.0
SUM = re.compile(rb'"crc32":"([0-9a-f]{8})"')
NO_SUM = b"-" * 8
MINUTE = 60  # seconds
# Kept in memory: a run of many trials reads the features of its training and of its test images.
HELD_FILES, HELD_BYTES = 2, 2**28

log = logging.getLogger("fewshot")


class Known(NamedTuple):
    """Features that are cached.

    Attributes:
        rows: image indices, int64 [m], ascending.
        features: float32 [m, d], the features of these images.
        seconds: float32 [m], the time in which each was computed: a chunk's time divided by its
            images; nan in files written before it was measured.
    """

    rows: np.ndarray
    features: np.ndarray
    seconds: np.ndarray


# The files that were read last, none larger than HELD_BYTES: path -> stamp at that time, content.
_held: dict[Path, tuple[tuple[int, ...], Known]] = {}


def folder() -> Path:
    """Return the folder of all files of features."""
    return cache_root() / "features"


def limit() -> int:
    """Return how many bytes the folder may take; 0 switches the cache off.

    Raises:
        UserError: $FEWSHOT_CACHE_GB is not a number of gigabytes. Without it, the limit is 4.
    """
    text = os.environ.get("FEWSHOT_CACHE_GB", "").strip() or str(LARGEST_GB)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not 0 <= gigabytes < math.inf:
        raise UserError(
            f"FEWSHOT_CACHE_GB is '{text}': a number of gigabytes was expected, as in 4 or 0.5."
        )
    return int(gigabytes * 1e9)


def locked(path: Path) -> contextlib.AbstractContextManager[None]:
    """Exclude other processes from a file; they wait, and then read what was written meanwhile.

    Raises:
        UserError: the folder is not writable, or its file system has no locks.
    """
    make_folder(path.parent)
    return io.locked(
        _lock_of(path),
        "set FEWSHOT_CACHE to a writable folder, or FEWSHOT_CACHE_GB=0 to cache no features",
    )


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name.partition(".")[0] + LOCK)


def read(path: Path, about: Mapping[str, str]) -> Known | None:
    """Return the content of a file.

    Args:
        path: the file.
        about: the metadata that it must have: its key, the number of images, or FILES, and the
            width d.

    Returns:
        None if there is no such file; also None, with a warning, if the file is damaged or belongs
        to another key.
    """
    stamp, known = _held.pop(path, ((), None))
    if known is None or stamp != _stamp(path):  # a stamp in memory is never empty
        known = _read(path, about)
    if known is None:
        return None
    stamp = _mark_as_used(path)
    if stamp and known.features.nbytes <= HELD_BYTES:
        _held[path] = (stamp, known)
        while len(_held) > HELD_FILES:
            _held.pop(next(iter(_held)))
    return known


def _mark_as_used(path: Path) -> tuple[int, ...]:
    """Set the file's time to now if it is more than a minute away, and return the file's stamp.

    Other processes decide by this time which file to remove.
    """
    with contextlib.suppress(OSError):
        # A time in the future is that of a clock that has been set back since.
        if abs(time.time() - path.stat().st_mtime) > MINUTE:
            os.utime(path)
    return _stamp(path)


def _stamp(path: Path) -> tuple[int, ...]:
    """Identify this version of a file; empty if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path, about: Mapping[str, str]) -> Known | None:
    """Read a file from the disk, as `read` does."""
    try:
        content = path.read_bytes()
        problem = _problem(content)
        if problem is None:
            arrays = safetensors.load(content)
            empty = np.empty(())
            rows, features = arrays.get("rows", empty), arrays.get("features", empty)
            unknown = np.full(rows.shape, np.nan, np.float32)
            known = Known(rows, features, arrays.get("seconds", unknown))
            problem = _unfit(known, _metadata(content), about)
        if problem is None:
            return known
    except FileNotFoundError:
        return None
    except (OSError, *DAMAGED_JSON, KeyError, AttributeError, SafetensorError) as error:
        problem = one_line(error, longest=100)
    log.warning(
        "the cache file %s is damaged (%s): its features are computed again.", path, problem
    )
    return None


def _problem(content: bytes) -> str | None:
    """Say in a few words what is wrong with the bytes of a file, or return None."""
    end = min(len(content), _header_end(content))
    match = SUM.search(content, 0, end)
    if match is None:
        return "it is not a file of features"
    if int(match[1], 16) != _sum(content, match.start(1)):
        return "its checksum differs"
    return None


def _header_end(content: bytes) -> int:
    """Return where the JSON header of a safetensors file ends."""
    return 8 + int.from_bytes(content[:8], "little")


def _sum(content: bytes | bytearray, position: int) -> int:
    """Return the CRC-32 of the content with dashes at the position of the checksum."""
    view = memoryview(content)
    before = zlib.crc32(NO_SUM, zlib.crc32(view[:position]))
    return zlib.crc32(view[position + len(NO_SUM) :], before)


def _unfit(known: Known, metadata: Mapping[str, str], about: Mapping[str, str]) -> str | None:
    """Say why the content of a file does not fit what is expected, or return None."""
    rows, features, seconds = known
    shaped = rows.ndim == 1 and features.shape == (len(rows), int(about["d"]))
    typed = rows.dtype == np.int64 and features.dtype == seconds.dtype == np.float32
    if not shaped or not typed or seconds.shape != rows.shape:
        return "its shape is wrong"
    end = np.inf if about["images"] == FILES else int(about["images"])
    in_range = not len(rows) or 0 <= rows[0] <= rows[-1] < end
    if not (np.diff(rows) > 0).all() or not in_range:
        return "its rows are wrong"
    return None if metadata.get("key") == about["key"] else "it belongs to something else"


def header(path: Path) -> dict[str, str]:
    """Return the metadata of a file, unchecked; empty if there are none."""
    try:
        with path.open("rb") as file:
            return _metadata(file.read(10_000))  # our headers are far shorter
    except (OSError, *DAMAGED_JSON, AttributeError):
        return {}


def _metadata(content: bytes) -> dict[str, str]:
    return dict(json.loads(content[8 : _header_end(content)]).get("__metadata__", {}))


def extended(known: Known | None, new: Known) -> Known:
    """Join cached features with new ones, whose rows must not be cached yet."""
    parts = [new] if known is None else [known, new]
    rows, features, seconds = map(np.concatenate, zip(*parts, strict=True))
    order = np.argsort(rows)
    return Known(rows[order], features[order], seconds[order])


def write(path: Path, known: Known, about: Mapping[str, str]) -> bool:
    """Write a whole file, unless it alone would exceed the limit; return whether it was written."""
    metadata = {**about, "rows": str(len(known.rows)), "crc32": NO_SUM.decode()}
    content = bytearray(safetensors.save(known._asdict(), metadata))
    if len(content) > limit():
        size = len(content) / 1e9
        log.warning("%.3g GB of features exceed FEWSHOT_CACHE_GB, so they are not cached.", size)
        return False
    position = content.index(b'"crc32":"') + len(b'"crc32":"')
    content[position : position + len(NO_SUM)] = f"{_sum(content, position):08x}".encode()
    write_bytes(path, content)
    return True


def prune(keep: Path) -> None:
    """Remove files, those used longest ago first, until the folder is within its limit.

    Files in use by another process stay.

    Args:
        keep: a file that is never removed.
    """
    by_age = sorted((status.st_mtime_ns, status.st_size, path) for path, status in files())
    excess = sum(size for _, size, _ in by_age) - limit()
    for _, size, path in by_age:
        if excess <= 0:
            return
        if path != keep and remove(path):
            excess -= size


def files() -> list[tuple[Path, os.stat_result]]:
    """Return all files in the folder except locks and drafts, whatever program wrote them."""
    listed = []
    for path in folder().iterdir() if folder().is_dir() else []:
        with contextlib.suppress(FileNotFoundError):  # another process has just removed it
            if path.suffix != LOCK and not drafts.is_draft(path) and path.is_file():
                listed.append((path, path.stat()))
    return listed


def remove(path: Path) -> bool:
    """Remove a file and its lock, unless a process is using it; return whether it is gone."""
    try:
        with FileLock(_lock_of(path), timeout=0):
            path.unlink(missing_ok=True)
            path.with_name(path.name.partition(".")[0] + LOCK).unlink(missing_ok=True)
    except (Timeout, OSError, NotImplementedError):
        return False
    return True
