"""Classify without labels: the pretraining's class probabilities, matched by the names of classes.

It can be mixed with a classifier of the support. Where the support has folds, they choose the
weights of the two; with a single image of a class, the weights are ONE_LABEL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes import subsets
from episodes.types import Labelled

MAX_FOLDS = 5
FITTED_FACTORS = tuple(2.0**power for power in range(7))
NAMES_FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)

Logits = Callable[[Tensor], Tensor]  # features [n, d] -> [n, n_way]


class Weights(NamedTuple):
    """Factors of the two logits in a mixture.

    Attributes:
        fitted: of the classifier that was fitted to the support.
        names: of the log probabilities that the names give.
    """

    fitted: float
    names: float


ONE_LABEL = Weights(fitted=4.0, names=0.5)  # chosen on the development split: docs/log.md


def log_probabilities(log_p: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """Return log probabilities of the data's classes, given the pretraining's classes.

    A class has the summed probability of its pretraining classes. A class without any has the mean
    probability of the pretraining classes that belong to no class: it may be any of those.

    Args:
        log_p: log probabilities of the pretraining's classes, [n, n_classes].
        groups: for each class of the data, the numbers of its pretraining classes.

    Returns:
        Log probabilities [n, n_way], which sum to one over the data's classes.
    """
    used = {number for group in groups for number in group}
    every = range(log_p.shape[1])
    unused = [number for number in every if number not in used] or list(every)
    unknown = log_p[:, unused].logsumexp(1) - torch.tensor(float(len(unused))).log()
    columns = [log_p[:, list(group)].logsumexp(1) if group else unknown for group in groups]
    return torch.stack(columns, 1).log_softmax(1)


def mix(support: Labelled, fit: Callable[[Labelled], Logits], names: Logits) -> Logits:
    """Return the mixture of a fitted classifier and of the classifier by names.

    Args:
        support: features and labels; without any label, the names alone classify.
        fit: fits a classifier to a labelled part of the support.
        names: features -> log probabilities by names.
    """
    if not len(support.labels):
        return names
    weights = choose_weights(support, fit, names)
    fitted = fit(support)
    return lambda features: weights.fitted * fitted(features) + weights.names * names(features)


def choose_weights(support: Labelled, fit: Callable[[Labelled], Logits], names: Logits) -> Weights:
    """Return the weights with the lowest cross-entropy of the folds, each held out in turn.

    With a single image of some class there are no folds, and the weights are ONE_LABEL.
    """
    smallest = int(support.labels.bincount().min())
    if smallest < 2:
        return ONE_LABEL
    by_names = names(support.images)
    fitted = torch.empty_like(by_names)
    for inside, outside in subsets.folds(support.labels.cpu(), min(MAX_FOLDS, smallest), 0):
        part = Labelled(support.images[inside], support.labels[inside])
        fitted[outside] = fit(part)(support.images[outside])
    losses = {
        weights: float(
            F.cross_entropy(weights.fitted * fitted + weights.names * by_names, support.labels)
        )
        for weights in (Weights(*pair) for pair in product(FITTED_FACTORS, NAMES_FACTORS))
    }
    return min(losses, key=losses.__getitem__)
