"""The images of a data set as all checks use them: read once, decoded once."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from fewshot.model.image_listing import NotRead


class Inspected(NamedTuple):
    """The images of one part of a data set that could be read.

    Attributes:
        data: name of the data set.
        classes: class names.
        names: path or number of each image, as messages name it.
        labels: int64 [n], positions among the classes.
        thumbnails: the whole image, squeezed to a square of at most 64 pixels,
            uint8 [n, 3, side, side].
        features: of the network of the checks, float32 [n, d].
        sizes: height and width of the stored image in pixels, int64 [n, 2].
        files: the file of each image; None if images are rows of a table.
        unreadable: files that could not be read, and why.
    """

    data: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: Tensor
    thumbnails: Tensor
    features: Tensor
    sizes: Tensor
    files: tuple[Path, ...] | None
    unreadable: tuple[NotRead, ...]
