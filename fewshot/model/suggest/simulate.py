"""What suggestions would have gained on images whose labels are known.

In each trial a pool is a random part of the images without their labels. Labels of the suggested
images are revealed in batches, a classifier is fitted to those that are known, and its accuracy is
measured on other images. The same is done with images that are chosen at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fewshot import backbones, progress
from fewshot.errors import UserError
from fewshot.model import candidates, heads
from fewshot.model.suggest import select, uncertainty, unlabelled
from fewshot.model.suggest.gain_curve import Curve
from fewshot.model.suggest.picks import Method, Pool
from fewshot.training import devices

SHARE = 0.8  # of the images, which are the pool of a trial


class LabelledSet(NamedTuple):
    """Images whose labels are known.

    Attributes:
        features: float32 [n, d].
        labels: int64 [n], from 0 to n_way - 1.
    """

    features: Tensor
    labels: Tensor


def curve(
    train: LabelledSet,
    test: LabelledSet | None,
    budgets: Sequence[int],
    method: Method | None = None,
    *,
    n_trials: int = 10,
    seed: int = 0,
    share: float = SHARE,
) -> Curve:
    """Measure the accuracy with suggested and with random labels, in the same pools.

    Args:
        train: the images of which pools are parts.
        test: the images on which accuracy is measured; None for those outside each pool.
        budgets: numbers of labels, rising; each batch is suggested with the labels before it.
        method: how images are suggested; None for the default of each batch.
        n_trials: how many pools.
        seed: seed of the pools and of the random choices.
        share: part of the images that is the pool of a trial, in (0, 1], or (0, 1) without `test`.

    Raises:
        UserError: the budgets do not rise, or exceed the pool.
    """
    n_way = 1 + int(max(part.labels.max() for part in (train, test or train)))
    n_pool = round(share * len(train.labels))
    if not budgets or budgets[0] < 1 or any(a >= b for a, b in pairwise(budgets)):
        raise UserError("expected rising numbers of labels, such as 10,20,40.")
    if budgets[-1] > n_pool:
        raise UserError(
            f"{budgets[-1]:,} labels are more than the {n_pool:,} images of a pool: name fewer."
        )
    if test is None and n_pool == len(train.labels):
        raise UserError(
            f"{n_pool:,} images are too few for a simulation: none is left to measure accuracy on."
        )
    shape = (n_trials, len(budgets))
    accuracy = {name: np.empty(shape) for name in ("ours", "random")}
    classes = {name: np.empty(shape, dtype=np.int64) for name in ("ours", "random")}
    for trial in range(n_trials):
        progress.update(f"trial {trial + 1} of {n_trials}")
        generator = torch.Generator().manual_seed(seed + trial)
        order = torch.randperm(len(train.labels), generator=generator)
        own, rest = order[:n_pool], order[n_pool:]
        pool = LabelledSet(train.features[own], train.labels[own])
        measured_on = test or LabelledSet(train.features[rest], train.labels[rest])
        for name, way in (("ours", method), ("random", "random")):
            chosen = picked(pool, budgets, way, n_way, seed=seed + trial)
            for column, budget in enumerate(budgets):
                first = chosen[:budget]
                known = LabelledSet(pool.features[first], pool.labels[first])
                accuracy[name][trial, column] = accuracy_of(known, measured_on, n_way)
                classes[name][trial, column] = len(known.labels.unique())
    return Curve(
        tuple(budgets), accuracy["ours"], accuracy["random"], classes["ours"], classes["random"]
    )


def of_data(
    data: str,
    budget: int,
    method: Method | None = None,
    *,
    n_trials: int = 10,
    seed: int = 0,
    device: str | None = None,
) -> Curve:
    """Measure the gain on a labelled data set, with the default network for its images.

    Accuracy is measured on its test part, or else on the images outside each pool.

    Args:
        data: a path or the name of a data set.
        budget: the largest number of labels; the others are its halves, down to one label for each
            class.
        method, n_trials, seed: as for `curve`.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: the data is missing or broken, has a single class, or has too few images.
    """
    device = devices.pick(device)
    source = unlabelled.labelled(data)
    if len(source.classes) < 2:
        raise UserError(f"{data} has a single class: a simulation needs labels of two or more.")
    settings = backbones.default(source.side())
    backbone = candidates.build(settings, device)
    decoding = source.decoding(backbones.input_side(settings))
    parts = []
    for one in (source, *([unlabelled.labelled(data, test=True)] if source.has_test else [])):
        content = one.read(backbone, decoding, device)
        parts.append(LabelledSet(content.features, content.labels))
    budgets = halves(budget, len(source.classes))
    test = parts[1] if len(parts) == 2 else None
    return curve(parts[0], test, budgets, method, n_trials=n_trials, seed=seed)


def halves(budget: int, least: int) -> list[int]:
    """Return a budget and its halves, rising, of which all but the budget are at least so many."""
    budgets = [budget]
    while budgets[0] // 2 >= max(1, least):
        budgets.insert(0, budgets[0] // 2)
    return budgets


def picked(
    pool: LabelledSet, budgets: Sequence[int], method: Method | None, n_way: int, *, seed: int = 0
) -> Tensor:
    """Return the positions that are labelled, int64 [budgets[-1]], in the order of labelling.

    Args:
        pool: the images; a label is read only once its image is picked.
        budgets: numbers of labels, rising; each batch is suggested with the labels before it.
        method: how images are suggested; None for the default of each batch.
        n_way: number of classes.
        seed: seed of the method.
    """
    chosen = torch.empty(0, dtype=torch.int64)
    for before, budget in pairwise((0, *budgets)):
        is_left = torch.ones(len(pool.labels), dtype=torch.bool)
        is_left[chosen] = False
        left = is_left.nonzero().flatten()
        features, known = pool.features[left], pool.features[chosen]
        labels = pool.labels[chosen]
        unsure = None
        if method in select.WEIGHTED:
            unsure = uncertainty.of_labels(features, known, labels, n_way)
        picks = select.pick(
            Pool(features, known, labels, unsure), budget - before, method, seed=seed
        )
        chosen = torch.cat([chosen, left[picks.indices]])
    return chosen


def accuracy_of(known: LabelledSet, test: LabelledSet, n_way: int) -> float:
    """Return the accuracy of a classifier that is fitted to the known labels.

    A class without a label is never predicted, so its images count as errors.

    Args:
        known: the labelled images.
        test: the images that are classified.
        n_way: number of classes.
    """
    present, labels = known.labels.unique(return_inverse=True)
    if len(present) == 1:
        predicted = present.expand(len(test.labels))
    else:
        head = heads.fit_head(known.features, labels, len(present), uncertainty.RECIPE)
        predicted = present[head(test.features).argmax(1)]
    return float((predicted == test.labels).double().mean())
