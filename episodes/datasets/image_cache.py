"""Decoded images on disk: decoded once, memory-mapped afterwards, and located by their content.

<cache>/images/<fingerprint>/ holds `images.npy` (uint8 [n, 3, h, w]), `labels.npy` (int64 [n]) and
`meta.json`. <cache>/index/<signature>.json maps the sizes and times of the source's files to the
fingerprints, so that an unchanged source is not read again. If they have changed, the source is
read, and its content decides.
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

from episodes.datasets.decode import raw, size_of, working_size
from episodes.datasets.parallel_decode import write_part
from episodes.datasets.source import Content, Part, Source
from episodes.errors import UserError

VERSION = 1  # increase it when decoding changes, so that older entries are no longer used
_UNFINISHED = ".building"


@dataclass(frozen=True, eq=False)
class Entry:
    """One decoded part.

    Attributes:
        fingerprint: name of its folder in the cache.
        images: uint8 [n, 3, h, w], memory-mapped.
        labels: int64 [n].
        classes: class names, in the order of the labels.
        total: number of images in the source.
        skipped: name of each image that was skipped, and the reason.
        jpeg: whether the first image of the source is a JPEG file.
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
    """Return the decoded training and test sets of a source; decode them if they are not cached.

    Args:
        source: the data set.
        image_size: side of the square images in pixels; None for the default of the source (see
            `working_size`).
        cache: folder of the cache.
        progress: whether to report progress while decoding.

    Raises:
        UserError: the source is broken, or the cache cannot be written.
    """
    index = cache / "index" / f"{_signature(source, image_size)}.json"
    fingerprints = _read_json(index).get("parts", [])
    entries = [_open(cache / "images" / fingerprint) for fingerprint in fingerprints]
    if len(entries) == 2 and entries[0] and entries[1]:
        return entries[0], entries[1]
    content = source.read()
    with warnings.catch_warnings(), _report_write_errors(cache):
        # Pillow warns about unusual metadata in images that it decodes well.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        size, fingerprints = _fingerprints(content, image_size)

        def build(kind: str, fingerprint: str, part: Part) -> Entry:
            folder, label = cache / "images" / fingerprint, f"{source.name} {kind}"
            return _open_or_build(folder, part, content.classes, size, label, progress)

        train = build("train", fingerprints[0], content.train)
        test = build("test", fingerprints[1], content.test)
        index.parent.mkdir(parents=True, exist_ok=True)
        draft = index.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({"parts": fingerprints}))
        os.replace(draft, index)
    return train, test


def _signature(source: Source, image_size: int | None) -> str:
    """Return a hash of the image size and of the sizes and times of the source's files."""
    digest = hashlib.sha256(f"{VERSION} {image_size}\n".encode())
    for path, stat in source.files:
        digest.update(os.fsencode(path))
        digest.update(
            f"\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}\n".encode()
        )
    return digest.hexdigest()[:32]


def _fingerprints(content: Content, image_size: int | None) -> tuple[int, list[str]]:
    """Return the working size, and for each part a hash of everything that its entry depends on."""
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
                # Two sizes are enough to know that the sizes differ.
                own_size = size_of(payload, data) if image_size is None and len(sizes) < 2 else None
                if own_size:
                    sizes.add(own_size)
        digests.append(digest)
    size = image_size or working_size(sizes)
    for digest in digests:
        digest.update(str(size).encode())
    return size, [digest.hexdigest()[:32] for digest in digests]


def _open_or_build(
    folder: Path, part: Part, classes: tuple[str, ...], size: int, label: str, progress: bool
) -> Entry:
    """Return the entry in a folder; if there is none, decode it while other processes wait."""
    from filelock import FileLock

    if entry := _open(folder):
        return entry
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(folder.parent)
    with FileLock(folder.with_suffix(".lock")):
        if entry := _open(folder):  # another process has built it meanwhile
            return entry
        unfinished = folder.with_suffix(_UNFINISHED)
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            unfinished.mkdir()
            info = write_part(unfinished, part, size, label, progress)
            meta = {**info, "classes": classes, "name": label}
            (unfinished / "meta.json").write_text(json.dumps(meta))
            shutil.rmtree(folder, ignore_errors=True)  # it exists only if it is damaged
            os.rename(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        if entry := _open(folder):  # under the lock, so that nothing can remove it in between
            return entry
    raise OSError(f"{folder} cannot be read after it was written")


def _open(folder: Path) -> Entry | None:
    """Return the entry in a folder, or None if it is missing or damaged."""
    try:
        meta = _read_json(folder / "meta.json")
        images = np.load(folder / "images.npy", mmap_mode="c", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        is_whole = list(images.shape) == meta["shape"] and images.dtype == np.uint8
        if not is_whole or labels.shape != images.shape[:1] or labels.dtype != np.int64:
            return None
        skipped = [(name, reason) for name, reason in meta["skipped"]]
        with suppress(OSError):  # a read-only cache works as well
            os.utime(folder)  # `fewshot data --cache` shows this as the time of the last use
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
    """Return the object in a JSON file; empty if the file is missing or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remove_unfinished(images: Path) -> None:
    """Remove what killed processes left behind; entries that are being built hold their lock."""
    from filelock import FileLock, Timeout

    for folder in images.glob(f"*{_UNFINISHED}"):
        try:
            with FileLock(folder.with_suffix(".lock"), timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except Timeout:
            continue


@contextmanager
def _report_write_errors(cache: Path) -> Iterator[None]:
    """Turn errors of the file system into a message that names the cache and the remedy."""
    try:
        yield
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(
            f"Cannot write the image cache {cache}: {reason}. Free some space there, or set "
            "FEWSHOT_CACHE to a folder that can be written."
        ) from error
