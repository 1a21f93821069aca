"""How the images of a data set will be decoded, and a hash of all that decides the result."""

from __future__ import annotations

import hashlib
import json
from itertools import count
from typing import NamedTuple

import numpy as np

from episodes.datasets.decoding.decode import MIXED_DEFAULT, size_of, working_size
from episodes.datasets.decoding.deep_pixels import RangeFinder, may_be_deep
from episodes.datasets.decoding.image_formats import needs_plugin, raw
from episodes.datasets.source import LoadOptions, Part
from episodes.types import Decoding, Fit

VERSION = 1  # increase it when decoding changes, so that older entries are no longer used


class Plan(NamedTuple):
    """What is known of the parts of a data set before they are decoded.

    Attributes:
        fingerprints: for each part a hash of everything that its entry depends on.
        identities: the same at the size that the images have without a backbone.
        notes: sentences for the user about the content and the size.
    """

    fingerprints: list[str]
    identities: list[str]
    notes: list[str]


def planned(
    classes: tuple[str, ...], parts: list[Part], options: LoadOptions, default_size: int | None
) -> tuple[Decoding, Plan]:
    """Read the content of all parts, and choose the working size and the range of deep images."""
    sizes: set[tuple[int, int]] = set()  # one or two: they are then known to differ
    largest_side = 0
    ranges = RangeFinder()
    digests = []
    for part in parts:
        digest = hashlib.sha256(json.dumps([VERSION, classes]).encode())
        digest.update(part.labels.tobytes())
        positions = count()
        for chunk in part.chunks():
            for payload, position in zip(chunk, positions, strict=False):
                data = raw(payload)
                if not data:  # the entry stores the name of what is not an image
                    digest.update(part.name_of(position).encode(errors="surrogatepass"))
                digest.update(len(data).to_bytes(8, "little"))
                digest.update(data)
                needs_size = len(sizes) < 2 or options.input_size > largest_side
                if needs_size and (own_size := size_of(payload, data)):
                    largest_side = max(largest_side, _side(own_size, options.fit))
                    if len(sizes) < 2:
                        sizes.add(own_size)
                if isinstance(payload, np.ndarray):
                    continue
                if may_be_deep(data):
                    ranges.add(data)
                if needs_plugin(data):  # with it there are more images
                    digest.update(b"read by a plug-in")
        digests.append(digest)
    asked = options.image_size or default_size
    needed = min(options.input_size, largest_side)  # no image has more pixels to give
    decoding = ranges.decoding(asked or working_size(sizes, needed), options.fit)
    identities = []
    for digest, part in zip(digests, parts, strict=True):
        without_backbone = digest.copy()
        without_backbone.update(str(default_size or working_size(sizes)).encode())
        identities.append(without_backbone.hexdigest()[:32])
        digest.update(str(decoding.size).encode())
        if decoding != Decoding(decoding.size):
            digest.update(repr(decoding).encode())
        if part.clusters is not None:
            digest.update(part.clusters.tobytes())
    fingerprints = [digest.hexdigest()[:32] for digest in digests]
    notes = [] if asked else _notes_on_size(sizes, decoding.size, options.input_size)
    return decoding, Plan(fingerprints, identities, notes)


def _side(size: tuple[int, int], fit: Fit) -> int:
    """Return the side of the square in which an image loses no pixels."""
    return min(size) if fit == "crop" else max(size)


def _notes_on_size(sizes: set[tuple[int, int]], size: int, input_size: int) -> list[str]:
    """Return a sentence about images that are not decoded at their own size."""
    if not sizes or sizes == {(size, size)}:
        return []
    width, height = next(iter(sizes))
    own = "several sizes" if len(sizes) > 1 else f"{width}x{height} pixels"
    why = "`--set image_size=N` changes it"
    if input_size == 0:
        why = "a run takes what its backbone needs"
    elif size == input_size:
        why = "what the backbone takes"
    elif MIXED_DEFAULT < size < input_size:
        why = f"none is larger; the backbone takes {input_size}"
    return [f"images of {own} are decoded at {size}x{size} pixels ({why})"]
