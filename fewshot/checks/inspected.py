"""The images of a data set as all checks use them: read once, decoded once."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from fewshot.model.image_listing import NotRead


class Appearance(NamedTuple):
    """How each image looks, measured on the whole image.

    Attributes:
        dark: 5th percentile of the brightness of the pixels, from 0 to 1, float32 [n].
        bright: 99th percentile of it, float32 [n].
        entropy: of the histogram of all channels in bits, float32 [n].
        detail: standard deviation of the Laplacian of the grey image at 128 pixels, as a share of
            that of its values, float32 [n]; small where the image is blurry.
        contrast: standard deviation of the values of that image, from 0 to 255, float32 [n].
        is_grey: whether all channels are equal, bool [n].
    """

    dark: Tensor
    bright: Tensor
    entropy: Tensor
    detail: Tensor
    contrast: Tensor
    is_grey: Tensor


class Inspected(NamedTuple):
    """The images of one part of a data set that could be read.

    Attributes:
        data: name of the data set.
        classes: class names.
        names: path or number of each image, as messages name it.
        labels: int64 [n], positions among the classes.
        thumbnails: the whole image, squeezed to a square of at most 64 pixels,
            uint8 [n, 3, side, side].
        features: of the network of the checks, float32 [n, d]; d is 0 if they were not computed.
        sizes: height and width of the stored image in pixels, int64 [n, 2].
        files: the file of each image; None if images are rows of a table.
        unreadable: files that could not be read, and why.
        digests: hash of the pixels of each image at its own size; images of equal hashes are
            exact copies. Empty if they were not computed.
        appearance: how the images look; None if it was not measured.
        images: the middle squares of the images as the network takes them, memory-mapped,
            uint8 [n, 3, h, w].
        notes: sentences about how the data set was read.
        unreadable_files: the file of each of `unreadable`; empty if images are rows of a table.
        folder: the folder of the user that holds the files in folders of classes; None for tables
            and data sets that are given by name.
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
    digests: tuple[str, ...] = ()
    appearance: Appearance | None = None
    images: Tensor = torch.empty(0, dtype=torch.uint8)
    notes: tuple[str, ...] = ()
    unreadable_files: tuple[Path, ...] = ()
    folder: Path | None = None
