"""The images of a pool before anything is computed from them: a folder, a table or a data set."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from episodes import datasets
from episodes.datasets.decoding import image_sizes
from episodes.datasets.decoding.decode import size_of, working_size
from episodes.datasets.decoding.image_formats import is_image_file, quiet_pillow, raw
from episodes.datasets.decoding.parallel_decode import decoded_chunks
from episodes.datasets.source import Part, Payload
from episodes.types import Decoding, ImageSet
from fewshot import progress
from fewshot.backbones import Backbone
from fewshot.errors import UserError
from fewshot.features import files as file_features
from fewshot.features import frozen
from fewshot.model import image_listing
from fewshot.model.image_listing import NotRead

Payloads = Callable[[Sequence[int]], list[Payload]]

SAMPLE = 50  # files whose size is read
MOST = 50_000  # images of a pool among which some are chosen

log = logging.getLogger("fewshot")


class Read(NamedTuple):
    """The images that could be read.

    Attributes:
        names: path or number of each image.
        files: its file; None if images are rows of a table.
        features: float32 [n, d].
        labels: int64 [n], positions among the classes; zeros without classes.
        classes: class names; empty for a folder, whose folders may be anything.
        left_out: files that could not be read.
        payloads: positions -> the encoded images at these positions.
    """

    names: tuple[str, ...]
    files: tuple[Path, ...] | None
    features: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    left_out: tuple[NotRead, ...]
    payloads: Payloads


@dataclass(frozen=True, eq=False)
class Files:
    """Image files.

    Attributes:
        folder: what the names are relative to.
        names: paths, with `/`.
        left_out: files that are not readable images.
        labels: int64 [n], positions among the classes; zeros without classes.
        classes: class names.
        has_test: whether they are the training part of a data set with a test part.
    """

    folder: Path
    names: tuple[str, ...]
    left_out: tuple[NotRead, ...]
    labels: Tensor
    classes: tuple[str, ...] = ()
    has_test: bool = False

    def sampled(self) -> Files:
        """Return the files, or as many of them as `MOST` says."""
        chosen = _chosen(len(self.names))
        names = tuple(self.names[i] for i in chosen.tolist())
        return replace(self, names=names, labels=self.labels[torch.from_numpy(chosen)])

    def side(self) -> int:
        """Return the usual shorter side in pixels; 0 if no image can be read."""
        with quiet_pillow():
            return image_sizes.median_side_of(self._sample())

    def decoding(self, input_side: int) -> Decoding:
        """Return how the files are decoded for a network that needs so many pixels."""
        with quiet_pillow():
            sizes = {size for path in self._sample() if (size := size_of(path, raw(path)))}
        needed = min(input_side, max((min(size) for size in sizes), default=input_side))
        return Decoding(working_size(sizes, needed))

    def read(self, backbone: Backbone, decoding: Decoding, device: str) -> Read:
        """Return the files with their features."""
        computed = file_features.of_files(backbone, self.folder, self.names, decoding, device)
        names = tuple(self.names[i] for i in computed.positions.tolist())
        paths = tuple(self.folder / name for name in names)
        broken = (NotRead(self.names[i], reason) for i, reason in computed.broken.items())
        return Read(
            names,
            paths,
            computed.features,
            self.labels[computed.positions],
            self.classes,
            (*self.left_out, *broken),
            lambda positions: [paths[i] for i in positions],
        )

    def _sample(self) -> list[Path]:
        """Return some of the files, from all parts of the list."""
        return [self.folder / name for name in self.names[:: max(1, len(self.names) // SAMPLE)]]


@dataclass(frozen=True, eq=False)
class Rows:
    """Images that have no files of their own, of a named data set or a table.

    Attributes:
        data: path or name of the data set.
        part: its images.
        classes: class names.
        is_test: whether they are those of the test part.
        has_test: whether they are those of the training part, beside a test part.
        is_sampled: whether no more of them are read than `MOST` says.
    """

    data: str
    part: Part
    classes: tuple[str, ...]
    is_test: bool
    has_test: bool
    is_sampled: bool = False

    def sampled(self) -> Rows:
        """Return the images, or as many of them as `MOST` says."""
        return replace(self, is_sampled=True)

    def side(self) -> int:
        """Return the usual shorter side in pixels; 0 if no image can be read."""
        return datasets.natural_side(self.data)

    def decoding(self, input_side: int) -> Decoding:
        """Return how the images are decoded for a network that needs so many pixels."""
        images = self._decoded(None, input_side)
        return images.decoding or Decoding(images.images.shape[-1])

    def read(self, backbone: Backbone, decoding: Decoding, device: str) -> Read:
        """Return the images with their features."""
        images = self._decoded(decoding, 0)
        n = len(images)
        chosen = _chosen(n) if self.is_sampled else np.arange(n)
        rows = torch.from_numpy(chosen)
        features = frozen.cached(backbone, images, rows, device).features.features
        good, left_out = np.arange(n), tuple[NotRead, ...]()
        if n != len(self.part.labels):
            good, left_out = self._readable(images.images.shape[-1])
        good = good[chosen]
        return Read(
            tuple(self.part.name_of(int(i)) for i in good),
            None,
            features.as_subclass(Tensor),
            torch.from_numpy(self.part.labels[good].astype(np.int64)),
            self.classes,
            left_out,
            lambda positions: _at(self.part, good[list(positions)]),
        )

    def _decoded(self, decoding: Decoding | None, input_side: int) -> ImageSet:
        sets = datasets.load(
            self.data,
            image_size=None if decoding is None else decoding.size,
            input_size=input_side,
            fit="crop" if decoding is None else decoding.fit,
            test=None,
            progress=progress.is_shown(),
        )
        return sets.test if self.is_test else sets.train

    def _readable(self, side: int) -> tuple[np.ndarray, tuple[NotRead, ...]]:
        """Return the positions of the images that can be decoded, and the others with reasons."""
        reasons: list[str | None] = []
        with quiet_pillow():
            for chunk in decoded_chunks(self.part.chunks(), Decoding(side)):
                reasons += chunk.reasons
        left_out = [
            NotRead(self.part.name_of(i), why) for i, why in enumerate(reasons) if why is not None
        ]
        return np.flatnonzero([why is None for why in reasons]), tuple(left_out)


def located(places: Sequence[str | Path]) -> Files | Rows:
    """Return the images of folders and files, or the training images of a data set.

    Args:
        places: image files and folders, all of whose images count, also those in folders inside;
            or one table, archive or name of a data set.

    Raises:
        UserError: there is no image.
    """
    paths = [Path(place) for place in places]
    if len(paths) == 1 and not paths[0].is_dir() and not _is_image(paths[0]):
        return labelled(os.fspath(places[0]))
    try:
        listing = image_listing.listing(paths)
    except UserError as error:
        if len(paths) > 1 or not paths[0].is_dir():
            raise
        try:  # the images may be in tables or arrays
            return labelled(os.fspath(places[0]))
        except UserError:
            raise error from None
    return Files(
        listing.folder,
        tuple(listing.names),
        tuple(listing.unreadable),
        torch.zeros(len(listing.names), dtype=torch.int64),
    )


def labelled(data: str, *, test: bool = False) -> Files | Rows:
    """Return the images of a data set, with their classes.

    Args:
        data: a path, or the name of a data set.
        test: whether the test part is read; or else the training part.

    Raises:
        UserError: the data is missing or broken, or has no test part.
    """
    content = datasets.contents(data)
    part = content.test if test else content.train
    if part is None:
        raise UserError(f"{data} has no test part.")
    has_test = content.test is not None and not test
    first = next(part.chunks(), [])
    if not first or not isinstance(first[0], Path):
        return Rows(data, part, content.classes, test, has_test)
    folder = Path(os.path.commonpath([path.parent.absolute() for path in _paths(part)]))
    names = tuple(path.absolute().relative_to(folder).as_posix() for path in _paths(part))
    labels = torch.from_numpy(part.labels.astype(np.int64))
    return Files(folder, names, (), labels, content.classes, has_test)


def _chosen(n: int) -> np.ndarray:
    """Return the positions of n images, or of a random sample if there are more than `MOST`."""
    if n <= MOST:
        return np.arange(n)
    log.warning(
        "the pool has %s images: %s of them, chosen at random, stand for it", f"{n:,}", f"{MOST:,}"
    )
    return np.sort(np.random.default_rng(0).permutation(n)[:MOST])


def _paths(part: Part) -> Iterator[Path]:
    return (payload for chunk in part.chunks() for payload in chunk if isinstance(payload, Path))


def _at(part: Part, positions: np.ndarray) -> list[Payload]:
    """Return some payloads of a part, in the order of the positions."""
    payloads: dict[int, Payload] = {}
    needed, start = set(positions.tolist()), 0
    for chunk in part.chunks():
        payloads |= {start + i: chunk[i] for i in range(len(chunk)) if start + i in needed}
        start += len(chunk)
        if len(payloads) == len(needed):
            break
    return [payloads[position] for position in positions.tolist()]


def _is_image(path: Path) -> bool:
    return path.is_file() and is_image_file(path)
