"""Select the images of a pool that are worth labelling first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fewshot.errors import UserError
from fewshot.model.suggest import (
    coreset,
    k_means,
    margin,
    max_herding,
    random_choice,
    space,
    typiclust,
    uncertainty,
)
from fewshot.model.suggest.picks import Method, Picks, Pool

METHODS: dict[Method, Callable[[Pool, int, int], tuple[Tensor, Tensor]]] = {
    "max-herding": max_herding.select,
    "k-means": k_means.select,
    "typiclust": typiclust.select,
    "margin": margin.select,
    "coreset": coreset.select,
    "random": random_choice.select,
}
WEIGHTED = {None, "max-herding", "margin"}  # methods that a classifier's uncertainty may change
FIRST_LABELS = 20  # up to so many first picks, k-means selects


def preset(budget: int, n_labelled: int) -> Method:
    """Return the method for a number of picks beside labelled images."""
    return "k-means" if not n_labelled and budget <= FIRST_LABELS else "max-herding"


def pick(
    pool: Pool,
    budget: int,
    method: Method | None = None,
    *,
    seed: int = 0,
    copies: Tensor | None = None,
) -> Picks:
    """Return the images to label, the most useful first.

    Args:
        pool: the images, and those that have labels already.
        budget: number of images to pick, at least 1.
        method: how to select; None chooses by the numbers of picks and labels.
        seed: of what is random in the method.
        copies: number of the cluster of near duplicates of each image, int64 [n]; of a cluster, one
            image at most is picked. None if all images differ.

    Raises:
        UserError: the pool has fewer different images, or the method needs a classifier.
    """
    at = distinct(copies, len(pool.features))
    if not 1 <= budget <= len(at):
        raise UserError(
            f"expected a budget between 1 and {len(at)}, the number of different images in the "
            f"pool, not {budget}."
        )
    weights = pool.uncertainty
    method = method or preset(budget, len(pool.labels))
    if method != "margin" and not has_enough_labels(pool.labels):
        weights = None
    features = pool.features if len(at) == len(pool.features) else pool.features[at]
    candidates = pool._replace(
        features=features, uncertainty=None if weights is None else weights[at]
    )
    picks, gains = METHODS[method](space.prepared(candidates), budget, seed)
    return Picks(at[picks], method, gains)


def has_enough_labels(labels: Tensor) -> bool:
    """Return whether every class has the labels that make a classifier's uncertainty useful."""
    return len(labels) > 0 and uncertainty.are_enough(labels, int(labels.max()) + 1)


def distinct(copies: Tensor | None, n: int) -> Tensor:
    """Return the first image of each cluster of copies, in order, int64 [m]."""
    if copies is None:
        return torch.arange(n)
    first = np.unique(copies.numpy(), return_index=True)[1]
    return torch.from_numpy(np.sort(first))
