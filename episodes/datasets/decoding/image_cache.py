"""Decoded images on disk: decoded once, memory-mapped afterwards, and located by their content.

<cache>/images/<fingerprint>/ holds `images.npy` (uint8 [n, 3, h, w]), `labels.npy` (int64 [n]),
`clusters.npy` (int64 [n], if there are clusters), `meta.json`, and what `copy_notes` knows about
copies. <cache>/index/<signature>.json maps the sizes and times of the source's files to the
fingerprints, so that an unchanged source is not read again. If they have changed, the source is
read, and its content decides.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from episodes.datasets import drafts, grouping
from episodes.datasets.decoding import changes
from episodes.datasets.decoding.image_formats import can_read, quiet_pillow
from episodes.datasets.decoding.parallel_decode import Counts, decoded_chunks, write_part
from episodes.datasets.decoding.planning import VERSION, Plan, planned
from episodes.datasets.source import Content, LoadOptions, Part, Source, held_out
from episodes.errors import DAMAGED_ARRAYS, DAMAGED_JSON, UserError
from episodes.types import Decoding

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
        counts: how the images were decoded.
        clusters: int64 [n]; None if each image is on its own.
        decoding: how the images were decoded.
        identity: hash of the content of the source, however it is decoded.
        notes: sentences for the user about the size of the images of all parts.
    """

    fingerprint: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    total: int
    skipped: list[tuple[str, str]]
    jpeg: bool
    counts: Counts
    clusters: np.ndarray | None
    decoding: Decoding
    identity: str = ""
    notes: list[str] = field(default_factory=list)


def decoded(source: Source, options: LoadOptions, cache: Path, progress: bool) -> list[Entry]:
    """Return the decoded training and test sets of a source; decode them if they are not cached.

    A source without a test part gives its whole as the only entry if none is set aside.

    Args:
        source: the data set.
        options: how it is read.
        cache: folder of the cache.
        progress: whether to report progress while decoding.

    Raises:
        UserError: the source is broken, or the cache cannot be written.
    """
    index = cache / "index" / f"{signature(source, options)}.json"
    if entries := _indexed(index, cache):
        return entries
    content = split(source.read(), options)
    parts = content.parts
    states = [changes.state_of(part) for part in parts]
    with quiet_pillow(), _report_write_errors(cache):
        decoding, plan = planned(content.classes, parts, options, source.default_size)
        plan = plan._replace(notes=[*content.notes, *plan.notes])
        kinds = ("train", "test") if content.test else ("images",)
        every = zip(kinds, plan.fingerprints, parts, states, strict=True)
        for kind, fingerprint, part, state in every:
            folder, label = cache / "images" / fingerprint, f"{source.name} {kind}"
            own = _open_or_build(folder, part, state, content.classes, decoding, label, progress)
            entries.append(own)
        index.parent.mkdir(parents=True, exist_ok=True)
        with drafts.draft(index) as file:
            file.write(json.dumps(plan._asdict()).encode())
    return _as_planned(entries, plan)


def parts_of(source: Source, options: LoadOptions) -> list[Part]:
    """Return the parts of a data set, not decoded, in the order of the entries."""
    return split(source.read(), options).parts


def _indexed(index: Path, cache: Path) -> list[Entry]:
    """Return the entries that the index names; none if one of them is missing."""
    try:
        plan = Plan(**_read_json(index))
    except TypeError:  # there is no index, or an older one
        return []
    cached = [_open(cache / "images" / fingerprint) for fingerprint in plan.fingerprints]
    entries = [entry for entry in cached if entry is not None]
    is_whole = bool(cached) and len(entries) == len(cached)
    return _as_planned(entries, plan) if is_whole else []


def _as_planned(entries: list[Entry], plan: Plan) -> list[Entry]:
    """Return entries with their identities; the first has the notes about the size."""
    first, *others = [
        replace(entry, identity=identity)
        for entry, identity in zip(entries, plan.identities, strict=True)
    ]
    return [replace(first, notes=plan.notes), *others]


def split(content: Content, options: LoadOptions) -> Content:
    """Return the content with its clusters, and with a test part set aside if it has none."""
    if options.group_by is not None:
        clusters = grouping.clusters(content.parts, options.group_by)
        grouped = [
            replace(part, clusters=own) for part, own in zip(content.parts, clusters, strict=True)
        ]
        test = grouped[1] if content.test else None
        content = replace(content, train=grouped[0], test=test)
    if content.test is not None or options.test_share is None:
        return content
    whole = content.train
    if whole.clusters is None:
        is_test = held_out(whole.labels, options.test_share)
    else:
        is_test = grouping.held_out(whole.labels, whole.clusters, options.test_share)
    return replace(content, train=whole.select(~is_test), test=whole.select(is_test))


def signature(source: Source, options: LoadOptions) -> str:
    """Return a hash of the options, the plug-ins, and the sizes and times of the source's files."""
    plugins = [format_ for format_ in ("HEIC", "AVIF") if can_read(format_)]
    digest = hashlib.sha256(f"{VERSION} {options} {plugins}\n".encode())
    for path, mark in source.files:
        digest.update(os.fsencode(path))
        digest.update(f"\0{mark}\n".encode())
    return digest.hexdigest()[:32]


def why_skipped_in(part: Part, entry: Entry) -> list[str | None]:
    """Return why images could not be decoded, or None, [n].

    The names in an entry are those of the folder that was decoded first. Where the same images are
    in another folder under other names, they are decoded again.
    """
    skipped = dict(entry.skipped)
    reasons = [skipped.get(part.name_of(index)) for index in range(len(part.labels))]
    if sum(reason is None for reason in reasons) == len(entry.labels):
        return reasons
    with quiet_pillow():
        chunks = decoded_chunks(part.chunks(), entry.decoding)
        return [reason for chunk in chunks for reason in chunk.reasons]


def _open_or_build(
    folder: Path,
    part: Part,
    state: str,
    classes: tuple[str, ...],
    decoding: Decoding,
    label: str,
    progress: bool,
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
            info = write_part(unfinished, part, decoding, label, progress)
            changes.check(part, state, info["skipped"])
            meta = {**info, "classes": classes, "name": label, "decoding": asdict(decoding)}
            (unfinished / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
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
        images = open_memmap(folder / "images.npy", mode="c")
        labels = np.array(open_memmap(folder / "labels.npy", mode="r"))
        is_whole = list(images.shape) == meta["shape"] and images.dtype == np.uint8
        if not is_whole or labels.shape != images.shape[:1] or labels.dtype != np.int64:
            return None
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(meta["classes"]):
            return None
        skipped = [(name, reason) for name, reason in meta["skipped"]]
        clusters = folder / "clusters.npy"
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
            meta["counts"],
            np.array(open_memmap(clusters, mode="r")) if clusters.exists() else None,
            Decoding(**meta["decoding"]),
        )
    except DAMAGED_ARRAYS:
        return None


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, *DAMAGED_JSON):
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
            f"the image cache {cache} cannot be written ({reason}): free some space there, or set "
            "FEWSHOT_CACHE to a folder that can be written."
        ) from error
