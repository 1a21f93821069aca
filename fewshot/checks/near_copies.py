"""Find images that are in a data set twice, also re-encoded, resized, cropped or mirrored."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import torch

from episodes.datasets.copies import clusters_of_copies
from fewshot.checks import copy_candidates, same_picture
from fewshot.checks.copy_candidates import Candidates
from fewshot.checks.findings import Finding, Part, Place
from fewshot.checks.inspected import Inspected

EXACT, NEAR = "exact copy", "near copy"
LEAK = "copy in the test set"
TWO_CLASSES = "same image in two classes"
SUREST = 0.99  # score of a pair whose pixels are not equal
LARGEST = 200_000  # images of which each is compared with every other
MANY_MINUTES = 10  # after which a warning says how long a search takes
PAIRS_PER_SECOND = 2e7  # of images that are compared, one thread: reports/check.md

log = logging.getLogger("fewshot")


class Links(NamedTuple):
    """Pairs of copies, by their positions in all images: those of the data and then the others.

    Attributes:
        pairs: int64 [m, 2].
        scores: how sure each pair is, float [m]; 1 where the pixels are equal.
    """

    pairs: np.ndarray
    scores: np.ndarray


def find(data: Inspected, against: Inspected | None = None) -> list[Finding]:
    """Return the images that are copies of others, in the data set and in the one it is tested on.

    One finding names each image to remove, with the image that it copies: without the first images
    of all findings no copy is left. Copies inside `against` alone are not reported.

    Args:
        data: the images to check.
        against: the images of the test set; None if there is none.
    """
    parts = [data] if against is None else [data, against]
    _announce([len(part.labels) for part in parts])
    pairs = links(parts)
    return _findings(pairs, parts)


def links(parts: list[Inspected]) -> Links:
    """Return the pairs of copies of the data set, in it and in the test set.

    Every image is compared with every other, so the time grows with the square of their number.
    More than `LARGEST` images are compared with a few neighbours each instead.
    """
    images = [same_picture.reduced(part.thumbnails) for part in parts]
    if sum(map(len, images)) > LARGEST:
        clusters = clusters_of_copies(images, torch.from_numpy(_labels(parts)))
        copied = np.flatnonzero(clusters != np.arange(len(clusters)))
        near = Links(np.stack([clusters[copied], copied], 1), np.full(len(copied), SUREST))
        return _joined([_equal(parts), near])
    projection = copy_candidates.projection(*(part.features for part in parts))
    looks = [
        copy_candidates.looks(pixels, part.features, projection)
        for pixels, part in zip(images, parts, strict=True)
    ]
    within = copy_candidates.candidates(looks[0])
    across = [copy_candidates.candidates(looks[0], other) for other in looks[1:]]
    offset = torch.tensor([0, len(images[0])])
    pairs = torch.cat([within.pairs, *(one.pairs + offset for one in across)])
    mirrored = torch.cat([within.mirrored, *(one.mirrored for one in across)])
    every = images[0] if len(images) == 1 else torch.cat(images)
    scores = same_picture.scores(every, Candidates(pairs, mirrored), _labels(parts))
    near = Links(pairs.numpy()[scores > 0], scores[scores > 0].clip(max=SUREST))
    return _joined([_equal(parts), near])


def _announce(sizes: list[int]) -> None:
    """Warn of a search that takes long: of the first images and between them and the others."""
    if sum(sizes) > LARGEST:
        log.warning(
            "%s images are too many to compare each with every other: copies that were cropped or "
            "mirrored are not searched for",
            f"{sum(sizes):,}",
        )
        return
    minutes = sizes[0] * sum(sizes) / PAIRS_PER_SECOND / 60
    if minutes >= MANY_MINUTES:
        log.warning(
            "searching %s images for copies takes about %s minutes on one core: the time grows with"
            " the square of their number",
            f"{sum(sizes):,}",
            f"{minutes:,.0f}",
        )


def _equal(parts: list[Inspected]) -> Links:
    """Return pairs of images of equal pixels: each image with one of the test set, or the first."""
    digests = [digest for part in parts for digest in part.digests]
    first = dict(zip(reversed(digests), reversed(range(len(digests))), strict=True))
    if len(parts) == 2:
        n = len(parts[0].digests)
        first |= dict(zip(parts[1].digests, range(n, len(digests)), strict=True))
    pairs = [
        sorted((first[digest], position))
        for position, digest in enumerate(digests)
        if first[digest] != position
    ]
    return Links(np.array(pairs, dtype=np.int64).reshape(-1, 2), np.ones(len(pairs)))


def _joined(links: list[Links]) -> Links:
    """Return each pair of several links once, with its highest score."""
    pairs = np.concatenate([one.pairs for one in links])
    scores = np.concatenate([one.scores for one in links])
    order = np.lexsort((-scores, pairs[:, 1], pairs[:, 0]))
    pairs, first = np.unique(pairs[order], axis=0, return_index=True)
    return Links(pairs, scores[order][first])


def _labels(parts: list[Inspected]) -> np.ndarray:
    """Return the labels of all images as positions among the classes of all parts, int64 [n]."""
    names = {name: None for part in parts for name in part.classes}
    numbers = {name: number for number, name in enumerate(names)}
    labels = [
        np.array([numbers[name] for name in part.classes], dtype=np.int64)[part.labels.numpy()]
        for part in parts
    ]
    return np.concatenate(labels)


def _findings(links: Links, parts: list[Inspected]) -> list[Finding]:
    """Return a finding for each image to remove: for each group of copies all but one.

    The image that stays is one of the test set, or else the largest.
    """
    n = len(parts[0].labels)
    names = np.concatenate([np.array(part.names, dtype=object) for part in parts])
    classes = [part.classes[label] for part in parts for label in part.labels.tolist()]
    areas = torch.cat([part.sizes.prod(1) for part in parts]).numpy()
    is_test = np.arange(len(classes)) >= n
    findings = []
    for first, second, score in _tree(links, areas + is_test * (areas.max(initial=0) + 1)):
        if first >= n:
            continue
        places = (_place(first, n, names), _place(second, n, names))
        is_same_class = classes[first] == classes[second]
        kind = EXACT if score == 1 else NEAR
        if second >= n:
            kind = LEAK
        elif not is_same_class:
            kind = TWO_CLASSES
        words = f"{places[0].name} is {'' if score == 1 else 'almost '}the same as {places[1].name}"
        words += " in the test set" if second >= n else ""
        words += "" if is_same_class else f", which is in another class ({classes[second]})"
        findings.append(Finding(kind, places, words, score))
    return findings


def _tree(links: Links, worth: np.ndarray) -> list[tuple[int, int, float]]:
    """Return each image that is not the best of its group, with the image that it copies."""
    neighbours: dict[int, list[tuple[int, float]]] = {}
    for (one, other), score in zip(links.pairs.tolist(), links.scores.tolist(), strict=True):
        neighbours.setdefault(one, []).append((other, score))
        neighbours.setdefault(other, []).append((one, score))
    members = np.array(sorted(neighbours), dtype=np.int64)
    order = members[np.lexsort((members, -worth[members]))]
    result, seen = [], set[int]()
    for root in order.tolist():
        if root in seen:
            continue
        seen.add(root)
        waiting = [root]
        for image in waiting:  # grows while it is read
            for other, score in neighbours[image]:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
                    result.append((other, image, score))
    return sorted(result)


def _place(position: int, n: int, names: np.ndarray) -> Place:
    part: Part = "data" if position < n else "against"
    return Place(part, position if position < n else position - n, str(names[position]))
