"""Labelled images of a folder, file or data set, decoded as a classifier needs them, in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from episodes import datasets
from episodes.datasets.class_names import matches
from episodes.datasets.decoding.image_formats import quiet_pillow
from episodes.datasets.decoding.parallel_decode import decoded_chunks
from episodes.datasets.names import distinct
from episodes.datasets.source import Part
from episodes.types import Decoding
from fewshot import progress
from fewshot.model.image_listing import NotRead


class Chunk(NamedTuple):
    """Some images.

    Attributes:
        pixels: uint8 [m, 3, side, side].
        labels: int64 [m], positions among the classes of the files.
        names: path of each image.
    """

    pixels: Tensor
    labels: Tensor
    names: list[str]


class LabelledFiles:
    """The labelled images of one part of a data set.

    Attributes:
        classes: names of the classes that have files.
        left_out: files that could not be decoded, of the chunks that were read so far.

    Args:
        data: a path, or the name of a data set.
        test: whether the test part is read if there is one; or else the training part.

    Raises:
        UserError: the data is missing or broken.
    """

    def __init__(self, data: str, *, test: bool) -> None:
        content = datasets.contents(data)
        self.part: Part = content.test if test and content.test is not None else content.train
        counts = np.bincount(self.part.labels, minlength=len(content.classes))
        names = distinct(content.classes)
        self.classes = tuple(name for name, n in zip(names, counts, strict=True) if n)
        self.labels = torch.from_numpy((np.cumsum(counts > 0) - 1)[self.part.labels])
        self.left_out: list[NotRead] = []

    def __len__(self) -> int:
        return len(self.labels)

    def chunks(self, decoding: Decoding) -> Iterator[Chunk]:
        """Decode the images in order, some at a time."""
        start = 0
        with quiet_pillow():
            for pixels, reasons, _ in decoded_chunks(self.part.chunks(), decoding):
                positions = range(start, start + len(reasons))
                start += len(reasons)
                good = []
                for position, reason in zip(positions, reasons, strict=True):
                    if reason is None:
                        good.append(position)
                    else:
                        self.left_out.append(NotRead(self.part.name_of(position), reason))
                names = [self.part.name_of(position) for position in good]
                yield Chunk(torch.from_numpy(pixels), self.labels[good], names)
                progress.update(f"{start:,} of {len(self):,} images")

    def labels_among(self, classes: tuple[str, ...]) -> list[int | None]:
        """Return the position among known classes of each class; None for an unknown one.

        Names are compared without regard to case, spaces and hyphens, if that is unambiguous.
        """
        match = matches(self.classes, classes)
        position = {name: label for label, name in enumerate(classes)}
        return [position[match[name]] if name in match else None for name in self.classes]
