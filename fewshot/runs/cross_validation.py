"""Repeated stratified cross-validation: how trials test data without a test part.

Trial s tests on fold s % n_folds of repeat s // n_folds, and learns from the other folds. Each
repeat splits the data anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from episodes import subsets
from episodes.datasets.source import few
from episodes.types import ImageSet
from fewshot.config import RunConfig
from fewshot.errors import UserError

T = TypeVar("T")


class Fold(NamedTuple):
    """Indices of the images to learn from and of those to test on, int64, ascending."""

    train: Tensor
    test: Tensor


def _once_per_images(function: Callable[..., T]) -> Callable[..., T]:
    """Remember what a function returns for an image set, as long as the image set exists.

    A run asks for its folds dozens of times, and a million images take a second each time.
    """
    results: WeakKeyDictionary[ImageSet, dict[tuple[int, ...], T]] = WeakKeyDictionary()

    @wraps(function)
    def remembered(images: ImageSet, *numbers: int) -> T:
        of_images = results.setdefault(images, {})
        if numbers not in of_images:
            of_images[numbers] = function(images, *numbers)
        return of_images[numbers]

    return remembered


def n_folds(config: RunConfig, images: ImageSet) -> int:
    """Return the number of folds: as configured, but no more than the largest class can fill.

    A fold without an image of any large class would test few of the classes.

    Raises:
        UserError: no class has two clusters of images.
    """
    n_clusters = _largest_class(images)
    if n_clusters < 2:
        of_group = " from different groups" if images.clusters is not None else ""
        raise UserError(
            f"{images.name} has no test part, and cross-validation needs a class with at least two "
            f"images{of_group}: add images, or name test images by --test."
        )
    return min(config.test_folds, n_clusters)


@_once_per_images
def _largest_class(images: ImageSet) -> int:
    """Return the number of clusters of the class with the most; 0 if no image may be tested."""
    testable = subsets.can_be_tested(images.labels, images.clusters)
    labels = images.labels[testable]
    clusters = torch.arange(len(labels)) if images.clusters is None else images.clusters[testable]
    pairs = torch.stack([labels, clusters]).unique(dim=1)  # one column for each cluster of a class
    return int(pairs[0].bincount().max()) if len(labels) else 0


@_once_per_images
def _fold_of_each(images: ImageSet, number: int, repeat: int) -> Tensor:
    return subsets.fold_of_each(images.labels, number, repeat, images.clusters)


def split(config: RunConfig, images: ImageSet, seed: int) -> Fold:
    """Return what the trial of a seed learns from and what it is tested on.

    Raises:
        UserError: the fold has no image.
    """
    number = n_folds(config, images)
    repeat, fold = divmod(seed, number)
    fold_of_index = _fold_of_each(images, number, repeat)
    test = (fold_of_index == fold).nonzero()[:, 0]
    if not len(test):
        raise UserError(
            f"fold {fold + 1} of {number} of {images.name} has no image, because its groups are "
            "large: use fewer --folds, or name test images by --test."
        )
    return Fold((fold_of_index != fold).nonzero()[:, 0], test)


def check_shots(config: RunConfig, images: ImageSet) -> None:
    """Check that every class has enough images outside each fold of the first repeat.

    Raises:
        UserError: it has fewer than the labels that are asked for.
    """
    if not config.shots:
        return
    n_classes, whole = len(images.classes), images.labels.bincount(minlength=len(images.classes))
    trains = [split(config, images, fold).train for fold in range(n_folds(config, images))]
    outside = torch.stack([images.labels[train].bincount(minlength=n_classes) for train in trains])
    for name, least, n in zip(
        images.classes, outside.amin(0).tolist(), whole.tolist(), strict=True
    ):
        shots = config.class_shots.get(name, config.shots)
        if least < shots:
            raise UserError(
                f"shots={shots} needs {shots} images of class '{name}' outside the test fold, and "
                f"{least} of its {n} images are there: use at most {least} shots, or --full, or "
                "name separate test images with --test."
            )


def n_tested(config: RunConfig, images: ImageSet, seeds: Sequence[int]) -> int:
    """Return how many different images the trials of some seeds are tested on."""
    tests = [split(config, images, seed).test for seed in seeds]
    return len(torch.cat(tests).unique())


def notes(config: RunConfig, images: ImageSet, n_tested: int) -> list[str]:
    """Return sentences for the record about images that the trials do not test.

    Args:
        config: the settings of the run.
        images: the data set.
        n_tested: number of different images that the trials tested.
    """
    number, sentences = n_folds(config, images), []
    if number < config.test_folds:
        sentences.append(
            f"{number} folds instead of {config.test_folds}, as no class has more "
            + ("images" if images.clusters is None else "groups of images")
        )
    testable = subsets.can_be_tested(images.labels, images.clusters)
    counts = images.labels[testable].bincount(minlength=len(images.classes))
    untested = [name for name, n in zip(images.classes, counts.tolist(), strict=True) if not n]
    if untested:
        has = "has" if len(untested) == 1 else "have"
        groups = "image" if images.clusters is None else "group of images"
        sentences.append(
            f"{few(untested)} {has} a single {groups}, which is in every training and never tested"
        )
    if config.group_by is not None and (names := _in_one_group(images)):
        sentences.append(
            f"most images of {few(names)} are in one group: where a fold tests it, few are left to "
            f"learn from; --group-by {config.group_by} may not be what the groups are"
        )
    if n_tested < int(testable.sum()):
        sentences.append(
            f"these trials test {n_tested:,} of the {int(testable.sum()):,} images that "
            f"{number} trials would test: use --seeds {number}, or a multiple of it"
        )
    return sentences


def _in_one_group(images: ImageSet) -> list[str]:
    """Return the classes of which one cluster has more than half of several images."""
    assert images.clusters is not None
    names = []
    for label, name in enumerate(images.classes):
        sizes = images.clusters[images.labels == label].unique(return_counts=True)[1]
        if len(sizes) > 1 and 2 * int(sizes.max()) > int(sizes.sum()):
            names.append(name)
    return names
