"""Copies of images within a data set: notes that count them, and one part of a split for each.

The search for copies is done once; its result lies beside the decoded images in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from episodes.datasets import copies, drafts
from episodes.datasets.decoding.image_cache import Entry, why_skipped_in
from episodes.datasets.names import readable_line
from episodes.datasets.source import Part
from episodes.errors import DAMAGED_ARRAYS
from episodes.types import TrainTest

VERSION = 1  # increase it when other images are copies than before
N_EXAMPLES = 3  # pairs that a note names
MOST_BYTES = 16e9  # of decoded images that are searched


@dataclass(frozen=True, eq=False)
class Copies:
    """What is known about the copies in a data set.

    Attributes:
        clusters: number of the cluster of each image, of the training part first, int64 [n].
        examples: names of two images that are copies, [pairs, 2].
    """

    clusters: np.ndarray
    examples: np.ndarray


def with_copies(
    data: TrainTest,
    entries: Sequence[Entry],
    file: Path,
    parts: Callable[[], Sequence[Part]],
) -> TrainTest:
    """Return a data set with notes about copies; in a whole one they share a cluster.

    Args:
        data: the data set.
        entries: its decoded parts.
        file: where the result of the search is cached; see `file_of`.
        parts: read the parts, for the names of their images.
    """
    if sum(entry.images.nbytes for entry in entries) > MOST_BYTES:
        note = "there are too many images to look for copies among them"
        return _changed(data, data.train.clusters, [note])
    known = _known(data, entries, file, parts)
    n_train = len(data.train)
    if not data.is_whole:
        return _changed(data, data.train.clusters, _of_test_images(known, n_train, data))
    clusters, notes = data.train.clusters, _of_whole(known, data)
    if len(np.unique(known.clusters)) < n_train:
        clusters = torch.from_numpy(_merged(known.clusters, clusters))
    return _changed(data, clusters, notes)


def file_of(entries: Sequence[Entry], cache: Path, signature: str) -> Path:
    """Return where the copies are cached: with the training images.

    Args:
        entries: the decoded parts.
        cache: folder of decoded images.
        signature: hash of the state of the files and of how they are split; sizes of images are
            no part of it, so that all requests that decode the same pixels share a search.
    """
    others = "".join(f"{entry.fingerprint[:8]}-" for entry in entries[1:])
    name = f"copies-{VERSION}-{others}{signature}.npz"
    return cache / "images" / entries[0].fingerprint / name


def _changed(data: TrainTest, clusters: torch.Tensor | None, notes: Sequence[str]) -> TrainTest:
    own = tuple(map(readable_line, notes))
    train = replace(data.train, clusters=clusters, notes=data.train.notes + own)
    return TrainTest(train, train if data.is_whole else data.test)


def _merged(copied: np.ndarray, groups: torch.Tensor | None) -> np.ndarray:
    """Return clusters in which the copies of an image and the images of a group are together."""
    if groups is None:
        return copied
    return copies.joined(np.concatenate([_links(copied), _links(groups.numpy())]), len(copied))


def _links(clusters: np.ndarray) -> np.ndarray:
    """Return pairs of neighbours in each cluster, int64 [m, 2]."""
    order = np.argsort(clusters, kind="stable")
    pairs = np.stack([order[:-1], order[1:]], 1)
    is_same = clusters[pairs[:, 0]] == clusters[pairs[:, 1]]
    return np.compress(is_same, pairs, axis=0)


def _of_test_images(known: Copies, n_train: int, data: TrainTest) -> list[str]:
    """Return a sentence about test images that are copies of training images."""
    train, test = np.split(known.clusters, [n_train])
    is_copy = np.isin(test, train)
    if not is_copy.any():
        return []
    n_copies = int(is_copy.sum())
    are = "is a copy" if n_copies == 1 else "are copies"
    return [
        f"{n_copies:,} of {len(test):,} test images {are} of training images"
        f"{_named(known)}, so they do not test what was learned"
        f"{_differently_labelled(known, data)}"
    ]


def _of_whole(known: Copies, data: TrainTest) -> list[str]:
    """Return a sentence about the copies in a data set without a test part."""
    _, cluster, sizes = np.unique(known.clusters, return_inverse=True, return_counts=True)
    n_copies = int((sizes[cluster] > 1).sum())
    if not n_copies:
        return []
    return [
        f"{n_copies:,} of {len(cluster):,} images are copies of each other{_named(known)}; a "
        f"split keeps copies together{_differently_labelled(known, data)}"
    ]


def _named(known: Copies) -> str:
    """Return a few pairs of copies in brackets; nothing if their names are unknown."""
    pairs = [f"{first} = {second}" for first, second in known.examples]
    return f" ({', '.join(pairs)})" if pairs else ""


def _differently_labelled(known: Copies, data: TrainTest) -> str:
    """Return how many images have a copy in another class, as the end of a sentence."""
    parts = (data.train,) if data.is_whole else (data.train, data.test)
    labels = np.concatenate([part.labels.numpy() for part in parts])
    _, cluster = np.unique(known.clusters, return_inverse=True)
    first = np.full(cluster.max() + 1, -1)
    first[cluster[::-1]] = labels[::-1]
    is_mixed = np.zeros(len(first), dtype=bool)
    is_mixed[cluster[labels != first[cluster]]] = True
    n_mixed = int(is_mixed[cluster].sum())
    if not n_mixed:
        return ""
    return f"; {n_mixed:,} images have a copy in another class: check their labels"


def _known(
    data: TrainTest,
    entries: Sequence[Entry],
    file: Path,
    parts: Callable[[], Sequence[Part]],
) -> Copies:
    """Return the copies from the cache, or search for them."""
    n = sum(len(entry.labels) for entry in entries)
    with suppress(*DAMAGED_ARRAYS), file.open("rb") as stream, np.load(stream) as arrays:
        known = Copies(arrays["clusters"], arrays["examples"])
        if known.clusters.shape == (n,):
            return known
    known = _searched(data, entries, parts())
    # A read-only cache works as well.
    with suppress(OSError), drafts.draft(file) as out:
        np.savez(out, clusters=known.clusters, examples=known.examples)
    return known


def _searched(data: TrainTest, entries: Sequence[Entry], parts: Sequence[Part]) -> Copies:
    sets = (data.train,) if data.is_whole else (data.train, data.test)
    labels = torch.cat([one.labels for one in sets])
    clusters = copies.clusters_of_copies([one.images for one in sets], labels)
    rows = [_rows(part, entry) for part, entry in zip(parts, entries, strict=True)]

    def name_of(position: int) -> str:
        n = len(rows[0])
        if position < n:
            return parts[0].name_of(int(rows[0][position]))
        return parts[1].name_of(int(rows[1][position - n]))

    return Copies(clusters, _examples(clusters, [len(own) for own in rows], name_of))


def _examples(
    clusters: np.ndarray, sizes: Sequence[int], name_of: Callable[[int], str]
) -> np.ndarray:
    """Return the names of a few pairs of copies: of one part, or of both if there are two.

    Args:
        clusters: int64 [n], of the training part first.
        sizes: the number of images of each part.
        name_of: position among all images -> name.
    """
    order = np.argsort(clusters, kind="stable")  # the images of a cluster in their order
    starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    several, pairs = lengths > 1, []
    for start, length in zip(starts[several], lengths[several], strict=True):
        members = order[start : start + length]
        is_first_part = members < sizes[0]
        others = members[1:] if len(sizes) == 1 else members[~is_first_part]
        if is_first_part[0] and len(others):
            pairs.append((members[0], others[0]))
        if len(pairs) == N_EXAMPLES:
            break
    if len(sizes) == 2:  # a test image is named before the training image that it copies
        pairs = [(second, first) for first, second in pairs]
    named = [[name_of(int(first)), name_of(int(second))] for first, second in pairs]
    return np.array(named, dtype=np.str_).reshape(-1, 2)


def _rows(part: Part, entry: Entry) -> np.ndarray:
    """Return the index in its source of each image of an entry, without those that were skipped."""
    if len(entry.labels) == len(part.labels):
        return np.arange(len(part.labels))
    reasons = why_skipped_in(part, entry)
    return np.flatnonzero([reason is None for reason in reasons])
