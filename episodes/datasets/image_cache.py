"""Decoded images on disk: decoded once, memory-mapped from then on, found again by content.

<cache>/images/<fingerprint>/ holds `images.npy` (uint8 [n, 3, h, w]), `labels.npy` (int64 [n]) and
`meta.json`. <cache>/index/<signature>.json leads from the stats of the source's files to the fingerprints,
so that an unchanged source is not read again; where the stats have changed, the content decides.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from episodes.datasets.parallel_decode import write_part
from episodes.datasets.decode import raw, size_of, working_size
from episodes.datasets.source import Content, Part, Source
from episodes.errors import UserError

VERSION = 1  # raise it when decoding changes: entries made before are then no longer found
_UNFINISHED = ".building"


@dataclass(frozen=True, eq=False)
class Entry:
    """One decoded part: images uint8 [n, 3, h, w], memory-mapped, and labels int64 [n].

    total: images in the source; skipped: name and reason of each that was left out; jpeg: the first is one.
    """

    fingerprint: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    total: int
    skipped: list[tuple[str, str]]
    jpeg: bool


def decoded(
    source: Source, image_size: int | None, cache: Path, progress: bool
) -> tuple[Entry, Entry]:
    """The decoded train and test parts of a source, from the cache or put there now.

    image_size: side of the square images, or None for the source's own (see `working_size`).
    UserError where the source is broken or the cache cannot be written.
    """
    index = cache / "index" / f"{_signature(source, image_size)}.json"
    known = _read_json(index).get("parts", [])
    found = [_open(cache / "images" / fingerprint) for fingerprint in known]
    if len(found) == 2 and found[0] and found[1]:
        return found[0], found[1]
    content = source.read()
    with warnings.catch_warnings(), _writing(cache):
        # Pillow warns of odd metadata in images that decode well.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        size, fingerprints = _fingerprints(content, image_size)
        parts = zip(("train", "test"), fingerprints, (content.train, content.test), strict=True)
        train, test = (
            _find_or_build(
                cache / "images" / key,
                part,
                content.classes,
                size,
                f"{source.name} {kind}",
                progress,
            )
            for kind, key, part in parts
        )
        index.parent.mkdir(parents=True, exist_ok=True)
        draft = index.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({"parts": fingerprints}))
        os.replace(draft, index)
    return train, test


def _signature(source: Source, image_size: int | None) -> str:
    digest = hashlib.sha256(f"{VERSION} {image_size}\n".encode())
    for path, stat in source.files:
        digest.update(os.fsencode(path))
        digest.update(
            f"\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}\n".encode()
        )
    return digest.hexdigest()[:32]


def _fingerprints(content: Content, image_size: int | None) -> tuple[int, list[str]]:
    """The working size, and for each part a hash of everything that its entry depends on."""
    sizes: set[tuple[int, int]] = set()
    digests = []
    for part in (content.train, content.test):
        digest = hashlib.sha256(json.dumps([VERSION, content.classes]).encode())
        digest.update(part.labels.tobytes())
        for chunk in part.chunks():
            for payload in chunk:
                data = raw(payload)
                digest.update(len(data).to_bytes(8, "little"))
                digest.update(data)
                if image_size is None and len(sizes) < 2 and (seen := size_of(payload, data)):
                    sizes.add(seen)
        digests.append(digest)
    size = image_size or working_size(sizes)
    for digest in digests:
        digest.update(str(size).encode())
    return size, [digest.hexdigest()[:32] for digest in digests]


def _find_or_build(
    folder: Path, part: Part, classes: tuple[str, ...], size: int, label: str, progress: bool
) -> Entry:
    from filelock import FileLock

    if entry := _open(folder):
        return entry
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_unfinished(folder.parent)
    with FileLock(folder.with_suffix(".lock")):
        if entry := _open(folder):  # another process was first
            return entry
        unfinished = folder.with_suffix(_UNFINISHED)
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            unfinished.mkdir()
            meta = write_part(unfinished, part, size, label, progress)
            (unfinished / "meta.json").write_text(
                json.dumps(meta | {"classes": classes, "name": label})
            )
            shutil.rmtree(folder, ignore_errors=True)  # present only where it is damaged
            os.rename(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        if entry := _open(folder):  # still locked: nobody clears it away in between
            return entry
    raise OSError(f"{folder} cannot be read back")


def _open(folder: Path) -> Entry | None:
    """The entry in a folder, or None where it is missing or damaged."""
    try:
        meta = _read_json(folder / "meta.json")
        images = np.load(folder / "images.npy", mmap_mode="c", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        whole = list(images.shape) == meta["shape"] and images.dtype == np.uint8
        if not whole or labels.shape != images.shape[:1] or labels.dtype != np.int64:
            return None
        skipped = [(name, reason) for name, reason in meta["skipped"]]
        with suppress(OSError):  # a cache that is only read is as good
            os.utime(folder)  # when it was last used, for those who look
        return Entry(
            folder.name,
            images,
            labels,
            tuple(meta["classes"]),
            meta["total"],
            skipped,
            meta["jpeg"],
        )
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none or it is damaged."""
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _clear_unfinished(images: Path) -> None:
    """Removes what killed builds left; a build under way holds its lock and is left alone."""
    from filelock import FileLock, Timeout

    for folder in images.glob(f"*{_UNFINISHED}"):
        try:
            with FileLock(folder.with_suffix(".lock"), timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except Timeout:
            continue


@contextmanager
def _writing(cache: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"Cannot write the image cache {cache}: {reason}. Free space there, or set FEWSHOT_CACHE to a "
            "folder that can be written."
        ) from error
