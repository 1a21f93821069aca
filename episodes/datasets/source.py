"""What a source hands over before its images are decoded, and the split of one that has no test part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# An encoded image, a file that holds one, or its pixels as uint8 [h, w, 3].
Payload = bytes | Path | np.ndarray

CHUNK = 256  # images handed to a thread at once: enough to hide the hand-over, little memory for photographs
SPLIT_NOTE = "{name} has no test part: a fixed, stratified fifth of its images was set aside as one"


@dataclass(frozen=True, eq=False)
class Part:
    """Images of one part, not yet decoded, in a fixed order.

    labels: int64 [n], indices into the classes of the content.
    name_of: position -> what the user calls this image, for messages.
    chunks: starts a pass over all n payloads, in order, in lists; UserError where the source is broken.
    """

    labels: np.ndarray
    name_of: Callable[[int], str]
    chunks: Callable[[], Iterator[list[Payload]]]


@dataclass(frozen=True, eq=False)
class Content:
    """The two parts of a data set and the class names that their labels index."""

    classes: tuple[str, ...]
    train: Part
    test: Part


@dataclass(frozen=True, eq=False)
class Source:
    """A data set found, but not yet read.

    unit: what one image is here, in the plural: files or rows.
    files: relative path and stat of every file that `read` depends on; a change in any of them is noticed.
    notes: sentences for the user.
    read: reads what is needed to list the images; UserError where a file is broken.
    """

    name: str
    unit: str
    files: tuple[tuple[str, os.stat_result], ...]
    notes: tuple[str, ...]
    read: Callable[[], Content]


def chunked(payloads: list[Payload] | np.ndarray) -> Iterator[list[Payload]]:
    """A list of payloads, or pixels uint8 [n, h, w, 3], as one pass in chunks."""
    for start in range(0, len(payloads), CHUNK):
        yield list(payloads[start : start + CHUNK])


def few(names: list[str]) -> str:
    """At most five of them in words, and how many more there are."""
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def held_out(labels: np.ndarray, per_class: int | None = None) -> np.ndarray:
    """A fixed stratified test part: `per_class` images of each class, or a fifth and at least one of two.

    labels: int64 [n]. Returns bool [n], true for test. A class of one image stays in train.
    """
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = per_class or max(1, round(len(members) / 5))
        order = np.random.default_rng([0, int(label)]).permutation(members)
        test[order[: min(count, len(members) - 1)]] = True
    return test
