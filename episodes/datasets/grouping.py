"""Clusters of images that must be on one side of a split, such as the frames of one scene."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np

from episodes.datasets.source import Part, images
from episodes.errors import UserError

_REASONS = {
    "subfolder": "no class folder holds folders with images",
    "prefix": "the file names have no common beginnings",
}
_NO_VALUES = "the column is empty"
SUBFOLDER, PREFIX = "subfolder", "prefix"
_ROBOFLOW = re.compile(r"_(jpe?g|png|bmp|webp)\.rf\.[0-9a-zA-Z]+$")  # augmented copies of one image
_NUMBERED = re.compile(r"[_\W]*\(?\d+\)?$")
_SEPARATED = re.compile(r"[_\W]+[^_\W]+\W*$")


def clusters(parts: Sequence[Part], group_by: str) -> list[np.ndarray]:
    """Return the number of the cluster of each image, int64 [n], for each part of a data set.

    Images with the same name of a group are one cluster, also if they are of different classes or
    parts. An image without a group is a cluster of its own.

    Args:
        parts: the parts.
        group_by: "subfolder" (of the class folder), "prefix" (of the file name: the name without
            its last word or number) or the name of a column of the source.

    Raises:
        UserError: the source has no such column or no sub-folders, or the groups do not differ.
    """
    names = [name for part in parts for name in _group_names(part, group_by)]
    named = np.array([bool(name) for name in names], dtype=bool)
    if not named.any():
        raise UserError(
            f"--group-by {group_by} gives no image a group ({_REASONS.get(group_by, _NO_VALUES)}): "
            "group by something else, or leave it out."
        )
    distinct, numbers = np.unique([name for name in names if name], return_inverse=True)
    if len(distinct) == 1 and named.all():
        raise UserError(
            f"--group-by {group_by} puts all {len(names):,} images into one group, "
            f"{str(distinct[0])!r}: group by something that differs, or leave it out."
        )
    result = np.arange(len(names), dtype=np.int64) + len(distinct)
    result[named] = numbers
    result = np.unique(result, return_inverse=True)[1].astype(np.int64)
    return np.split(result, np.cumsum([len(part.labels) for part in parts])[:-1])


def held_out(labels: np.ndarray, clusters: np.ndarray, share: float) -> np.ndarray:
    """Choose a fixed, roughly stratified test set of whole clusters.

    A cluster goes to the test set if the number of test images of its classes then is closer to the
    share. Every class keeps a training image; a class with a single cluster is never tested.

    Args:
        labels: int64 [n].
        clusters: int64 [n].
        share: test images of each class.

    Returns:
        bool [n], true for test images.
    """
    labels = np.unique(labels, return_inverse=True)[1]
    clusters = np.unique(clusters, return_inverse=True)[1]
    order = np.argsort(clusters, kind="stable")
    members = np.split(order, np.bincount(clusters).cumsum()[:-1])
    total = np.bincount(labels)
    target = np.maximum(1, total * share)
    chosen = np.zeros_like(total)
    is_test = np.zeros(len(labels), dtype=bool)

    def choose(indices: np.ndarray, *, only_untested: bool) -> None:
        own, counts = np.unique(labels[indices], return_counts=True)
        after = np.abs(chosen[own] + counts - target[own]).sum()
        is_better = after < np.abs(chosen[own] - target[own]).sum()
        is_wanted = (chosen[own] == 0).any() if only_untested else is_better
        if is_wanted and (chosen[own] + counts < total[own]).all():
            chosen[own] += counts
            is_test[indices] = True

    for number in np.random.default_rng(0).permutation(len(members)):
        choose(members[number], only_untested=False)
    if (chosen == 0).any():  # classes whose clusters are all larger than twice the share
        for number in np.argsort([len(indices) for indices in members], kind="stable"):
            choose(members[number], only_untested=True)
    return is_test


def notes(group_by: str, train: np.ndarray, test: np.ndarray | None) -> list[str]:
    """Return sentences that say how many groups there are, how large, and on which side.

    Args:
        group_by: what the images were grouped by.
        train: clusters of the training images, int64 [n].
        test: the same of the test images; None without a test part.
    """
    joined = train if test is None else np.concatenate([train, test])
    sizes = np.unique(joined, return_counts=True)[1]
    smallest, largest = int(sizes.min()), int(sizes.max())
    number = images(largest)
    if smallest != largest:
        number = f"{smallest:,} to {number}"
    sentences = [f"grouped by {group_by}: {len(sizes):,} groups of {number}"]
    if test is not None and (shared := np.intersect1d(train, test)).size:
        n_images = int(np.isin(test, shared).sum())
        sentences.append(
            f"{len(shared):,} of these groups have training images as well as test images: "
            f"{n_images:,} of {len(test):,} test images belong to them"
        )
    return sentences


def _group_names(part: Part, group_by: str) -> Sequence[str]:
    """Return the name of the group of each image; an empty string if it has none."""
    if group_by == SUBFOLDER:
        return _subfolders(part)
    if group_by == PREFIX:
        return [prefix(part.name_of(i)) for i in range(len(part.labels))]
    if part.column is None:
        raise UserError(
            f"--group-by {group_by}: the data has no columns; use {SUBFOLDER} or {PREFIX}."
        )
    return [str(value).strip() for value in part.column(group_by)]


def _subfolders(part: Part) -> list[str]:
    """Return the first of the nested sub-folders of each image that is not the same for all."""
    subfolder_of = part.subfolder_of or (lambda i: part.name_of(i).rpartition("/")[0])
    paths = [subfolder_of(i).split("/") for i in range(len(part.labels))]
    level, deepest = 0, max((len(path) for path in paths), default=0)
    while level + 1 < deepest and len({path[level] for path in paths if len(path) > level}) == 1:
        level += 1
    return [path[level] if len(path) > level else "" for path in paths]


def prefix(name: str) -> str:
    """Return the name of a file without its last word or number; empty if nothing else is left.

    `scene03_frame12.png`, `scene03-12.png` and `scene03 (12).png` are of `scene03`, `frame12.png`
    is of `frame`. In the exports of Roboflow, the copies of an image share its name.

    Args:
        name: path of the file.
    """
    stem = os.path.splitext(name.rsplit("/", 1)[-1])[0]
    if match := _ROBOFLOW.search(stem):
        return stem[: match.start()]
    shorter = _SEPARATED.sub("", stem)
    return shorter if shorter != stem else _NUMBERED.sub("", stem)
