"""What every source of images provides before decoding, and the split of one without a test set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# An encoded image, the path of an image file, or pixels, uint8 [h, w, 3].
Payload = bytes | Path | np.ndarray

# Images that a thread decodes at a time: enough to make its overhead small, and few enough that
# photographs need little memory.
CHUNK = 256

SPLIT_NOTE = "{name} has no test set: a fixed, stratified fifth of its images is used as one"


@dataclass(frozen=True, eq=False)
class Part:
    """The images of one part of a data set in a fixed order, not yet decoded.

    Attributes:
        labels: int64 [n], indices into the classes of the content.
        name_of: index -> name of that image in messages.
        chunks: start a pass over all n payloads in order, in lists; raises UserError if the source
            is broken.
    """

    labels: np.ndarray
    name_of: Callable[[int], str]
    chunks: Callable[[], Iterator[list[Payload]]]


@dataclass(frozen=True, eq=False)
class Content:
    """The two parts of a data set, and the class names that their labels index."""

    classes: tuple[str, ...]
    train: Part
    test: Part


@dataclass(frozen=True, eq=False)
class Source:
    """A data set that has been located but not read.

    Attributes:
        name: name of the data set.
        unit: what one image is in this source, in the plural: "files" or "rows".
        files: relative path and stat of every file that `read` uses. A change in any of them
            invalidates the index of the cache.
        notes: sentences for the user.
        read: read what is needed to list the images; raises UserError if a file is broken.
        mirror: whether a mirrored image belongs to the same class.
        superclass_in_name: whether class names are SUPERCLASS/CLASS.
    """

    name: str
    unit: str
    files: tuple[tuple[str, os.stat_result], ...]
    notes: tuple[str, ...]
    read: Callable[[], Content]
    mirror: bool = True
    superclass_in_name: bool = False


def chunked(payloads: list[Payload] | np.ndarray) -> Iterator[list[Payload]]:
    """Yield payloads, or the images of pixels uint8 [n, h, w, 3], in lists of at most CHUNK."""
    for start in range(0, len(payloads), CHUNK):
        yield list(payloads[start : start + CHUNK])


def few(names: list[str]) -> str:
    """Join at most five names, and add how many more there are."""
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def held_out(labels: np.ndarray, per_class: int | None = None) -> np.ndarray:
    """Choose a fixed, stratified test set; the only image of a class is never chosen.

    Args:
        labels: int64 [n].
        per_class: test images per class; None for a fifth of each class, rounded, but at least one.

    Returns:
        bool [n], true for test images.
    """
    is_test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        indices = np.flatnonzero(labels == label)
        n_test = per_class or max(1, round(len(indices) / 5))
        order = np.random.default_rng([0, int(label)]).permutation(indices)
        is_test[order[: min(n_test, len(indices) - 1)]] = True
    return is_test
