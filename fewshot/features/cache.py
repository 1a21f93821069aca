"""Files of features: what is known so far of one part's images under one network, in a folder of bounded size.

<cache>/features/<key>.safetensors holds `rows` (int64 [m], image indices, rising) and `features` (float32 [m, d]).
Its metadata says what it is of and the CRC-32 of the whole file, taken with dashes in the sum's own place: no byte
changes unnoticed. A file is read, extended and written under its lock; the one used longest ago goes first.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from episodes.datasets.locations import cache_root
from fewshot.errors import UserError
from fewshot.io import make_folder, write_bytes

SUFFIX, LOCK = ".safetensors", ".lock"
LARGEST_GB = 4.0
SUM = re.compile(rb'"crc32":"([0-9a-f]{8})"')
NO_SUM = b"-" * 8
MINUTE = 60  # seconds
HELD_FILES, HELD_BYTES = (
    2,
    2**28,
)  # a run of many draws wants the same two, of its training images and its test images


class Known(NamedTuple):
    """rows int64 [m], rising; features float32 [m, d] of them."""

    rows: np.ndarray
    features: np.ndarray


_held: dict[
    Path, tuple[tuple[int, ...], Known]
] = {}  # what was read last, none larger than HELD_BYTES, as it was then


def folder() -> Path:
    return cache_root() / "features"


def limit() -> int:
    """Bytes that the folder may hold: $FEWSHOT_CACHE_GB, 4 where it is not set, 0 for no cache at all."""
    text = os.environ.get("FEWSHOT_CACHE_GB", "").strip() or str(LARGEST_GB)
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise UserError(
            f"FEWSHOT_CACHE_GB is '{text}': a number of gigabytes was expected, as in 4 or 0.5."
        )
    return int(found * 1e9)


def say(text: str) -> None:
    """One line for people, whether or not progress is wanted and in whichever process."""
    print(f"fewshot: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone with a file; others wait, and then find what was written meanwhile."""
    make_folder(path.parent)
    lock = _lock(path)
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        raise UserError(
            f"{path.parent} cannot be locked ({getattr(error, 'strerror', None) or error}): "
            "set FEWSHOT_CACHE to a folder that can be written, or FEWSHOT_CACHE_GB=0 to keep no features."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _lock(path: Path, timeout: float = -1) -> FileLock:
    return FileLock(path.with_name(path.name.partition(".")[0] + LOCK), timeout=timeout)


def read(path: Path, about: Mapping[str, str]) -> Known | None:
    """What the file holds, or None where there is none; a damaged or foreign one is said, and counts as none.

    about: the key that the file must carry, the number of images and the width d.
    """
    stamp, known = _held.pop(path, ((), None))
    if known is None or stamp != _stamp(path):  # a stamp that is held is of a file
        known = _read(path, about)
    if known is None:
        return None
    stamp = _used_now(path)
    if stamp and known.features.nbytes <= HELD_BYTES:
        _held[path] = (stamp, known)
        while len(_held) > HELD_FILES:
            _held.pop(next(iter(_held)))
    return known


def _used_now(path: Path) -> tuple[int, ...]:
    """The file's stamp, after its time of use was moved to now, where that is long ago: other processes look at it."""
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > MINUTE:
            os.utime(path)
    return _stamp(path)


def _stamp(path: Path) -> tuple[int, ...]:
    """Tells a file from any other that is, was or will be at the path; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: Path, about: Mapping[str, str]) -> Known | None:
    """Of the file itself, as `read`."""
    try:
        content = path.read_bytes()
        problem = _problem(content)
        if problem is None:
            held = safetensors.load(content)
            known = Known(held.get("rows", np.empty(())), held.get("features", np.empty(())))
            problem = _unfit(known, _metadata(content), about)
        if problem is None:
            return known
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        problem = " ".join(str(error).split())[:100]
    say(f"the cache file {path} is damaged ({problem}): its features are computed again.")
    return None


def _problem(content: bytes) -> str | None:
    """What is wrong with the file's bytes, in a few words."""
    found = SUM.search(content, 0, min(len(content), 8 + int.from_bytes(content[:8], "little")))
    if found is None:
        return "it is no file of features"
    if int(found[1], 16) != _sum(content, found.start(1)):
        return "its checksum differs"
    return None


def _sum(content: bytes | bytearray, place: int) -> int:
    view = memoryview(content)
    return zlib.crc32(view[place + len(NO_SUM) :], zlib.crc32(NO_SUM, zlib.crc32(view[:place])))


def _unfit(known: Known, said: Mapping[str, str], about: Mapping[str, str]) -> str | None:
    rows, features = known
    shaped = rows.ndim == 1 and features.shape == (len(rows), int(about["d"]))
    if not shaped or rows.dtype != np.int64 or features.dtype != np.float32:
        return "its shape is wrong"
    if not (np.diff(rows) > 0).all() or (
        len(rows) and not 0 <= rows[0] <= rows[-1] < int(about["images"])
    ):
        return "its rows are wrong"
    return None if said.get("key") == about["key"] else "it is of something else"


def header(path: Path) -> dict[str, str]:
    """The file's metadata, unchecked; empty where it has none."""
    try:
        with path.open("rb") as file:
            return _metadata(file.read(10_000))  # ours are far shorter
    except (OSError, ValueError, AttributeError):
        return {}


def _metadata(content: bytes) -> dict[str, str]:
    end = 8 + int.from_bytes(content[:8], "little")
    return dict(json.loads(content[8:end]).get("__metadata__", {}))


def extended(known: Known | None, rows: np.ndarray, features: np.ndarray) -> Known:
    """Both together; no row of the one is in the other."""
    if known is not None:
        rows, features = (
            np.concatenate([known.rows, rows]),
            np.concatenate([known.features, features]),
        )
    order = np.argsort(rows)
    return Known(rows[order], features[order])


def write(path: Path, known: Known, about: Mapping[str, str]) -> bool:
    """Write the file whole, or not at all where it alone is beyond the limit; whether it was written."""
    metadata = {**about, "rows": str(len(known.rows)), "crc32": NO_SUM.decode()}
    content = bytearray(safetensors.save(known._asdict(), metadata))
    if len(content) > limit():
        say(
            f"{len(content) / 1e9:.3g} GB of features are more than FEWSHOT_CACHE_GB allows, so they are not kept."
        )
        return False
    place = content.index(b'"crc32":"') + len(b'"crc32":"')
    content[place : place + len(NO_SUM)] = f"{_sum(content, place):08x}".encode()
    write_bytes(path, content)
    return True


def prune(keep: Path) -> None:
    """Remove files, used longest ago first, until the folder is within its limit; not `keep`, and none in use."""
    found = sorted((stat.st_mtime_ns, stat.st_size, path) for path, stat in files())
    over = sum(size for _, size, _ in found) - limit()
    for _, size, path in found:
        if over <= 0:
            return
        if path != keep and remove(path):
            over -= size


def files() -> list[tuple[Path, os.stat_result]]:
    """All that the folder holds but the locks, whoever wrote it."""
    found = []
    for path in folder().iterdir() if folder().is_dir() else []:
        with contextlib.suppress(FileNotFoundError):  # removed by another process just now
            if path.suffix != LOCK and path.is_file():
                found.append((path, path.stat()))
    return found


def remove(path: Path) -> bool:
    """Remove a file and its lock, but one that a process is at work on stays; whether it is gone."""
    try:
        with _lock(path, timeout=0):
            path.unlink(missing_ok=True)
            path.with_name(path.name.partition(".")[0] + LOCK).unlink(missing_ok=True)
    except (Timeout, OSError, NotImplementedError):
        return False
    return True
