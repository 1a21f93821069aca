"""Read a data set for the checks: pixels and features from the caches that `fit` and `run` share.

What only the checks need, such as the sizes and the brightness of the images, is measured in a
second pass over the files, and is cached beside the decoded images.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from episodes.datasets import decoded_parts, drafts, rows_on_disk
from episodes.datasets.decoded_parts import DecodedPart
from episodes.datasets.decoding.image_formats import quiet_pillow
from episodes.datasets.decoding.parallel_decode import threads_for
from episodes.datasets.names import readable_line
from episodes.datasets.source import Payload
from fewshot import backbones, io, progress
from fewshot.checks import measuring
from fewshot.checks.inspected import Appearance, Inspected
from fewshot.checks.measuring import Measured
from fewshot.config import BackboneSettings
from fewshot.model import candidates
from fewshot.model.image_listing import NotRead
from fewshot.runs import checks
from fewshot.training import devices

THUMBNAIL = 64  # pixels
THUMBNAILS = ".npy"  # ending of the file of thumbnails, which is mapped into memory
TOGETHER = 32  # images that a thread measures at a time
VERSION = 3  # increase it when something is measured differently


def read(
    data: str,
    *,
    device: str | None = None,
    with_features: bool = True,
    side: int | None = None,
) -> list[Inspected]:
    """Read the training part of a data set, and its test part if it has one.

    Args:
        data: a path or name, as for a run; or a folder of images without classes.
        device: cpu, cuda and so on; None for a GPU if there is one.
        with_features: whether features are computed.
        side: usual side of the images in pixels, which decides the network; None for that of these
            images. Two data sets that are compared need one network.

    Raises:
        UserError: the data is missing or broken, or no image can be read.
    """
    settings = backbones.default(side or decoded_parts.side_of(data))
    parts = decoded_parts.decoded_parts(
        data, input_size=backbones.input_side(settings), progress=progress.is_shown()
    )
    folder = Path(os.path.abspath(Path(os.path.expanduser(data))))
    return [
        _inspected(part, settings, device, with_features)._replace(
            folder=folder if part.in_folders and folder.is_dir() else None
        )
        for part in parts
    ]


def _inspected(
    part: DecodedPart, settings: BackboneSettings, device: str | None, with_features: bool
) -> Inspected:
    images = part.images
    measured, files, unreadable_files = _measured(part)
    readable = [index for index, reason in enumerate(part.reasons) if reason is None]
    name_of = part.encoded.name_of
    return Inspected(
        images.name,
        images.classes,
        tuple(name_of(index) for index in readable),
        images.labels,
        torch.from_numpy(measured.thumbnails),
        _features(part, settings, device) if with_features else torch.empty(len(images), 0),
        torch.from_numpy(measured.sizes),
        files,
        tuple(
            NotRead(readable_line(name_of(index)), reason)
            for index, reason in enumerate(part.reasons)
            if reason is not None
        ),
        tuple(row.tobytes().hex() for row in measured.digests),
        _appearance(measured.looks),
        images.images,
        images.notes,
        unreadable_files,
    )


def _appearance(looks: np.ndarray) -> Appearance:
    dark, bright, entropy, detail, contrast, grey = torch.from_numpy(looks).unbind(1)
    return Appearance(dark, bright, entropy, detail, contrast, grey > 0)


def _features(part: DecodedPart, settings: BackboneSettings, device: str | None) -> Tensor:
    if not len(part.images):
        return torch.empty(0, 0)
    device = devices.pick(device)
    devices.keep_freed_memory()
    if not part.images.mirror:
        settings = checks.without_mirrored_views(settings)
    progress.update("computing features")
    network = candidates.build(settings, device)
    return candidates.features(network, part.images, device)


def _measured(part: DecodedPart) -> tuple[Measured, tuple[Path, ...] | None, tuple[Path, ...]]:
    """Return what was measured, the file of each image, and the files that cannot be read."""
    side = min(THUMBNAIL, part.images.images.shape[-1])
    cache = None if part.cache is None else part.cache.with_name(_cache_name(part.cache.name))
    known = _known(cache, len(part.images), side)
    files: list[Path] = []
    unreadable: list[Path] = []
    paths = _Paths(part, files, unreadable)
    if known is not None:
        deque(paths.chunks(), maxlen=0)
    else:
        known = _measure_all(paths, part, side)
        _store(cache, known)
    is_files = len(files) == len(part.images)
    return known, tuple(files) if is_files else None, tuple(unreadable)


def _cache_name(mark: str) -> str:
    return f"inspected-{VERSION}-{mark}.npz"


class _Paths:
    """The images of a part that could be decoded; a pass over them lists the files."""

    def __init__(self, part: DecodedPart, files: list[Path], unreadable: list[Path]) -> None:
        self.part, self.files, self.unreadable = part, files, unreadable

    def chunks(self) -> Iterator[list[Payload]]:
        start = 0
        for chunk in self.part.encoded.chunks():
            readable: list[Payload] = []
            reasons = self.part.reasons[start : start + len(chunk)]
            start += len(chunk)
            for payload, reason in zip(chunk, reasons, strict=True):
                if reason is None:
                    readable.append(payload)
                if isinstance(payload, Path):
                    (self.files if reason is None else self.unreadable).append(payload)
            yield readable


def _measure_all(paths: _Paths, part: DecodedPart, side: int) -> Measured:
    """Measure all images, with few of them in memory at a time."""
    results: list[Measured] = []

    def thumbnails() -> Iterator[np.ndarray]:
        for measured in _measured_chunks(paths, part, side):
            nothing = measured.thumbnails[:0].copy()  # a view would hold all thumbnails in memory
            results.append(measured._replace(thumbnails=nothing))
            yield measured.thumbnails

    joined = rows_on_disk.joined(thumbnails(), len(part.images))
    return Measured(*map(np.concatenate, zip(*results, strict=True)))._replace(thumbnails=joined)


def _measured_chunks(paths: _Paths, part: DecodedPart, side: int) -> Iterator[Measured]:
    """Measure images in threads, and yield what was measured in their order, some at a time."""
    waiting: deque[Future[Measured]] = deque()
    is_empty = True
    n_threads, start = 0, 0
    with quiet_pillow(), ThreadPoolExecutor() as pool:
        for chunk in paths.chunks():
            n_threads = n_threads or threads_for(chunk)
            for first in range(0, len(chunk), TOGETHER):
                payloads = chunk[first : first + TOGETHER]
                pixels = part.images.images[start : start + len(payloads)].numpy()
                start += len(payloads)
                waiting.append(pool.submit(measuring.measure, payloads, pixels, side))
                if len(waiting) > n_threads:
                    yield waiting.popleft().result()
                    is_empty = False
            progress.update(f"measuring {start:,} of {len(part.images):,} images")
        for future in waiting:
            yield future.result()
            is_empty = False
    if is_empty:
        yield measuring.measure([], np.empty(0), side)


def _known(path: Path | None, n: int, side: int) -> Measured | None:
    """Return what was measured before, from the cache; None if it is not there or damaged."""
    if path is None:
        return None
    with suppress(*io.DAMAGED_ARRAYS), path.open("rb") as stream, np.load(stream) as arrays:
        thumbnails = open_memmap(path.with_suffix(THUMBNAILS), mode="c")
        known = Measured(thumbnails, *(arrays[name] for name in Measured._fields[1:]))
        is_whole = thumbnails.shape == (n, 3, side, side) and thumbnails.dtype == np.uint8
        if is_whole and len(known.looks) == n:
            return known
    return None


def _store(path: Path | None, measured: Measured) -> None:
    if path is None:
        return
    others = measured._asdict()
    thumbnails = others.pop("thumbnails")
    with suppress(OSError):  # a read-only cache works as well
        with drafts.draft(path.with_suffix(THUMBNAILS)) as stream:
            np.save(stream, thumbnails)
        with drafts.draft(path) as stream:
            np.savez(stream, **others)
