"""Decodes a part in parallel, straight into files, so that memory stays small however large the set is."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from episodes.datasets.decode import broken_image_errors, decode, raw, why_skipped
from episodes.datasets.source import Part, Payload

# Pixels uint8 [m_good, 3, size, size], and for each of the m images of a chunk why it was skipped, or None.
Decoded = tuple[np.ndarray, list[str | None]]


def write_part(folder: Path, part: Part, size: int, label: str, progress: bool) -> dict[str, Any]:
    """Writes `images.npy` (uint8 [n, 3, size, size]) and `labels.npy` (int64 [n]) of all that decodes.

    Returns shape, total (images in the source), jpeg (whether the first image is one) and skipped (name and
    reason of each left out).
    OSError where the folder cannot be written, UserError where the source is broken.
    """
    total = len(part.labels)
    kept: list[int] = []
    skipped: list[tuple[str, str]] = []
    # Plain writes, not a memory map: on a full disk a write raises, while a map kills the process.
    with open(folder / "images.npy", "wb") as file, _ticker(progress, total, label) as tick:
        _write_header(file, total, size)
        for pixels, reasons in decoded_chunks(part.chunks(), size):
            file.write(pixels.data)
            start = len(kept) + len(skipped)
            kept += [start + i for i, reason in enumerate(reasons) if reason is None]
            skipped += [
                (part.name_of(start + i), reason) for i, reason in enumerate(reasons) if reason
            ]
            tick(len(reasons))
        shape = _write_header(file, len(kept), size)
    np.save(folder / "labels.npy", part.labels[kept].astype(np.int64))
    first = next(part.chunks(), [])
    jpeg = bool(first) and bytes(raw(first[0])[:2]) == b"\xff\xd8"
    return {"shape": shape, "total": total, "jpeg": jpeg, "skipped": skipped}


def _write_header(file: Any, count: int, size: int) -> list[int]:
    # NumPy pads the header so that the first axis may change: written again, it is as long as before.
    file.seek(0)
    shape = (count, 3, size, size)
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return list(shape)


def decoded_chunks(chunks: Iterable[list[Payload]], size: int) -> Iterator[Decoded]:
    """Chunks of images, decoded in threads, in order; a few chunks ahead of whoever takes them, and no more."""
    workers = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    waiting: deque[Future[Decoded]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for chunk in chunks:
            waiting.append(pool.submit(_decode_chunk, chunk, size))
            if len(waiting) > 2 * workers:  # what waits is held in memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _decode_chunk(chunk: list[Payload], size: int) -> Decoded:
    pixels = np.empty((len(chunk), 3, size, size), dtype=np.uint8)
    reasons: list[str | None] = []
    errors = broken_image_errors()
    count = 0
    for payload in chunk:
        try:
            pixels[count] = decode(payload, size).transpose(2, 0, 1)
        except errors:
            reasons.append(why_skipped(payload))
        else:
            reasons.append(None)
            count += 1
    return pixels[:count], reasons


@contextmanager
def _ticker(progress: bool, total: int, label: str) -> Iterator[Callable[[int], object]]:
    """A function to call with the number of images done; a bar, or one line where there is no terminal."""
    if not progress:
        yield lambda done: None
    elif not sys.stderr.isatty():
        print(f"decoding {label}: {total:,} images, once", file=sys.stderr)
        yield lambda done: None
    else:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"decoding {label}", total=total)
            yield lambda done: bar.advance(task, done)
