"""The parts of a data set, decoded, with the encoded images beside the pixels.

A single class is enough, and so is a folder without class folders, because a check needs no
classes to learn.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from episodes.datasets import loose_files
from episodes.datasets.decoding.image_cache import (
    Entry,
    decoded,
    parts_of,
    signature,
    why_skipped_in,
)
from episodes.datasets.decoding.image_sizes import median_side
from episodes.datasets.digits import load_digits
from episodes.datasets.loading import KNOWN_SIDES, located, of_pixels
from episodes.datasets.locations import cache_root, data_root
from episodes.datasets.names import distinct, readable_line
from episodes.datasets.source import LoadOptions, Part, Source
from episodes.errors import NoClasses
from episodes.types import Fit, ImageSet


class DecodedPart(NamedTuple):
    """The images of one part.

    Attributes:
        images: the pixels of those that could be decoded, as `datasets.load` gives them; classes
            without an image are left out.
        encoded: all images before decoding.
        reasons: why an image could not be decoded, [n of encoded]; None for those in `images`.
        cache: file without suffix beside the decoded images, for what else is known of them in
            this state of the files; None if they are not cached.
        in_folders: whether the images are files in folders of classes, and not named by a table.
    """

    images: ImageSet
    encoded: Part
    reasons: list[str | None]
    cache: Path | None
    in_folders: bool = False


def side_of(data: str, root: Path | None = None) -> int:
    """Return the usual shorter side of the images of a data set in pixels, as `natural_side`."""
    if data in KNOWN_SIDES and not Path(data).is_dir():
        return KNOWN_SIDES[data]
    source = _located(data, root or data_root())
    return source.default_size or median_side(source.read().train)


def decoded_parts(
    data: str,
    *,
    image_size: int | None = None,
    input_size: int = 0,
    fit: Fit = "crop",
    group_by: str | None = None,
    root: Path | None = None,
    cache: Path | None = None,
    progress: bool = False,
) -> list[DecodedPart]:
    """Return the training part of a data set and its test part; or the whole as the only part.

    Args:
        data: a path or name, as for `datasets.load`; or a folder of images without classes.
        image_size: side of the decoded images in pixels; None to choose it.
        input_size: side in pixels that the backbone needs; 0 without one.
        fit: how an image that is not square becomes square.
        group_by: as for `datasets.load`; with equal options, its decoded images are used.
        root: folder in which names are looked up, as for `datasets.load`.
        cache: folder for decoded images, as for `datasets.load`.
        progress: whether to report progress while images are decoded.

    Raises:
        UserError: the data is missing or broken.
    """
    if data == "digits" and not Path(data).is_dir():
        return [
            DecodedPart(part, of_pixels(part), [None] * len(part), None) for part in load_digits()
        ]
    cache = cache or cache_root()
    source = _located(data, root or data_root())
    options = LoadOptions(image_size, input_size, fit, None, group_by)
    entries = decoded(source, options, cache, progress)
    parts = parts_of(source, options)
    mark = signature(source, options)
    return [
        _decoded_part(source, part, entry, cache / "images" / entry.fingerprint / mark)
        for part, entry in zip(parts, entries, strict=True)
    ]


def _located(data: str, root: Path) -> Source:
    """Return the source of a name or path, also of a folder of images without classes."""
    try:
        return located(data, root)[0]
    except NoClasses:
        folder = Path(os.path.expanduser(data))
        source = loose_files.source(folder, folder.name) if folder.is_dir() else None
        if source is None:
            raise
        return source


def _decoded_part(source: Source, part: Part, entry: Entry, cache: Path) -> DecodedPart:
    has_image = np.bincount(entry.labels, minlength=len(entry.classes)) > 0
    names = np.array(distinct(entry.classes), dtype=object)
    images = ImageSet(
        name=readable_line(source.name),
        images=torch.from_numpy(entry.images),
        labels=torch.from_numpy((np.cumsum(has_image) - 1)[entry.labels]),
        classes=tuple(names[has_image]),
        fingerprint=entry.fingerprint,
        groups={},
        mirror=source.mirror,
        notes=tuple(map(readable_line, (*source.notes, *entry.notes))),
        decoding=entry.decoding,
        identity=entry.identity,
    )
    return DecodedPart(images, part, why_skipped_in(part, entry), cache, source.unit == "files")
