"""The usual size of the images of a data set, from the headers of a few of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from episodes.datasets.decoding.decode import size_of
from episodes.datasets.decoding.image_formats import raw
from episodes.datasets.source import Part, Payload

SAMPLE = 50  # images


def median_side(part: Part) -> int:
    """Return the median of the shorter sides in pixels of a few images; 0 without any.

    Args:
        part: the images. Of files, some of all classes are read; of images that a pass reads as it
            goes, some of its first list.
    """
    listed: list[Payload] = []
    for chunk in part.chunks():
        listed += chunk
        if not isinstance(chunk[0], Path):
            break
    return median_side_of(listed[:: max(1, len(listed) // SAMPLE)])


def median_side_of(images: Iterable[Payload]) -> int:
    """Return the median of the shorter sides of images in pixels; 0 if none can be read."""
    sizes = (size_of(payload, raw(payload)) for payload in images)
    sides = [min(size) for size in sizes if size is not None]
    return round(statistics.median(sides)) if sides else 0
