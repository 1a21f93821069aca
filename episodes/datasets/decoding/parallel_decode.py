"""Decode a part of a data set in threads, directly into files, with little memory."""

from __future__ import annotations

import itertools
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypedDict

import numpy as np

from episodes.datasets.decoding.decode import Traits, decode_with_traits
from episodes.datasets.decoding.deep_pixels import KINDS
from episodes.datasets.decoding.image_formats import broken_image_errors, raw, why_skipped
from episodes.datasets.source import Part, Payload
from episodes.types import Decoding

BYTES_PER_THREAD = 1500  # of an encoded image, for every thread that pays


class Decoded(NamedTuple):
    """The decoded images of a chunk of m images.

    Attributes:
        pixels: uint8 [m_decoded, 3, size, size].
        reasons: for each of the m images the reason why it was skipped, or None.
        traits: how each of the m_decoded images was decoded.
    """

    pixels: np.ndarray
    reasons: list[str | None]
    traits: list[Traits]


class Counts(TypedDict):
    """How many images of a part were decoded in a way that a user may want to know.

    Keys:
        cropped: images of which a margin is cut off.
        cut_off: the sum of the shares of their areas.
        deep: kind of deep images -> how many there are.
        dim: deep images that fill less than a sixteenth of the range of the data set.
        clipped: deep images with values outside that range.
        paged: names of the images with further pages or frames.
    """

    cropped: int
    cut_off: float
    deep: dict[str, int]
    dim: int
    clipped: int
    paged: list[str]


class PartInfo(TypedDict):
    """What is stored about a decoded part beside its images.

    Keys:
        shape: shape of the images.
        total: number of images in the source.
        jpeg: whether the first image of the source is a JPEG file.
        skipped: name of each image that was skipped, and the reason.
        counts: how the images were decoded.
    """

    shape: list[int]
    total: int
    jpeg: bool
    skipped: list[tuple[str, str]]
    counts: Counts


def write_part(
    folder: Path, part: Part, decoding: Decoding, label: str, progress: bool
) -> PartInfo:
    """Decode all images of a part into `images.npy`, `labels.npy` and `clusters.npy`.

    The files hold uint8 [n, 3, size, size], int64 [n] and int64 [n] of the n images that could be
    decoded; a part without clusters has no `clusters.npy`.

    Args:
        folder: existing folder for the two files.
        part: images to decode.
        decoding: how the images are decoded.
        label: name of the part in messages.
        progress: whether to report progress.

    Raises:
        OSError: the folder cannot be written.
        UserError: the source is broken.
    """
    total, size = len(part.labels), decoding.size
    indices: list[np.ndarray] = []
    counts = Counts(
        cropped=0, cut_off=0.0, deep=dict.fromkeys(KINDS, 0), dim=0, clipped=0, paged=[]
    )
    skipped: list[tuple[str, str]] = []
    # On a full disk, writing to a file raises an error; writing to a memory map kills the process.
    with open(folder / "images.npy", "wb") as file, _progress(progress, total, label) as advance:
        _write_header(file, total, size)
        start = 0
        for chunk in decoded_chunks(part.chunks(), decoding):
            file.write(chunk.pixels.data)
            is_decoded = np.array([reason is None for reason in chunk.reasons], dtype=bool)
            indices.append(start + np.flatnonzero(is_decoded))
            _count(counts, chunk.traits, indices[-1], part)
            for index, reason in enumerate(chunk.reasons, start):
                if reason is not None:
                    skipped.append((part.name_of(index), reason))
            start += len(chunk.reasons)
            advance(len(chunk.reasons))
        decoded_indices = np.concatenate([np.empty(0, dtype=np.int64), *indices])
        shape = _write_header(file, len(decoded_indices), size)
    counts["deep"] = {kind: n for kind, n in counts["deep"].items() if n}
    np.save(folder / "labels.npy", part.labels[decoded_indices].astype(np.int64))
    if part.clusters is not None:
        np.save(folder / "clusters.npy", part.clusters[decoded_indices].astype(np.int64))
    first_chunk = next(part.chunks(), [])
    jpeg = bool(first_chunk) and bytes(raw(first_chunk[0])[:2]) == b"\xff\xd8"
    return {"shape": shape, "total": total, "jpeg": jpeg, "skipped": skipped, "counts": counts}


def _count(counts: Counts, traits: list[Traits], indices: np.ndarray, part: Part) -> None:
    """Add the images of a chunk to the counts of a part."""
    for own, index in zip(traits, indices.tolist(), strict=True):
        counts["cropped"] += bool(own.cut_off)
        counts["cut_off"] += own.cut_off
        counts["dim"] += own.is_dim
        counts["clipped"] += own.is_clipped
        if own.kind in counts["deep"]:
            counts["deep"][own.kind] += 1
        if own.has_more_pages:
            counts["paged"].append(part.name_of(index))


def _write_header(file: BinaryIO, count: int, size: int) -> list[int]:
    """Write the header of a NumPy file of uint8 [count, 3, size, size], and return the shape.

    NumPy pads the header so that the first axis can grow: a second header has the same length.
    """
    file.seek(0)
    shape = (count, 3, size, size)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return list(shape)


def decoded_chunks(chunks: Iterable[list[Payload]], decoding: Decoding) -> Iterator[Decoded]:
    """Decode chunks of images in threads and yield them in order.

    Only a few chunks more than the caller has received are decoded in advance.

    Args:
        chunks: images to decode.
        decoding: how they are decoded.
    """
    remaining = iter(chunks)
    first = next(remaining, [])
    n_threads = threads_for(first)
    waiting: deque[Future[Decoded]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        for chunk in itertools.chain([first] if first else [], remaining):
            waiting.append(pool.submit(_decode_chunk, chunk, decoding))
            if len(waiting) > 2 * n_threads:  # decoded chunks occupy memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def threads_for(chunk: list[Payload]) -> int:
    """Return how many threads decode images like those of a chunk fastest.

    Pillow opens an image in Python code, which one thread at a time can run. For a thumbnail it is
    most of the work, so further threads only wait for each other (docs/log.md, 2026-11-27). Files
    are decoded on every core, because reading them takes time as well. Arrays are already decoded.
    """
    if hasattr(os, "sched_getaffinity"):
        n_cores = len(os.sched_getaffinity(0))
    else:
        n_cores = os.cpu_count() or 1
    if any(isinstance(payload, Path) for payload in chunk):
        return n_cores
    sizes = [len(payload) for payload in chunk if isinstance(payload, bytes)]
    mean_size = sum(sizes) // max(1, len(sizes))
    return max(1, min(n_cores, mean_size // BYTES_PER_THREAD))


def _decode_chunk(chunk: list[Payload], decoding: Decoding) -> Decoded:
    size = decoding.size
    pixels = np.empty((len(chunk), 3, size, size), dtype=np.uint8)
    reasons: list[str | None] = []
    traits: list[Traits] = []
    errors = broken_image_errors()
    for payload in chunk:
        try:
            image, own = decode_with_traits(payload, decoding)
        except errors as error:
            reasons.append(why_skipped(payload, error))
        else:
            pixels[len(traits)] = image.transpose(2, 0, 1)
            reasons.append(None)
            traits.append(own)
    return Decoded(pixels[: len(traits)], reasons, traits)


@contextmanager
def _progress(progress: bool, total: int, label: str) -> Iterator[Callable[[int], object]]:
    """Show a bar on a terminal, or log one line elsewhere.

    Yields:
        A function that is called with the number of images that were decoded since the last call.
    """
    if not progress:
        yield lambda n_images: None
    elif not sys.stderr.isatty():
        noun = "image" if total == 1 else "images"
        message = f"decoding {label}: {total:,} {noun}; this happens once"
        logging.getLogger("fewshot").info(message)
        yield lambda n_images: None
    else:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"decoding {label}", total=total)
            yield lambda n_images: bar.advance(task, n_images)
