"""Compare classifiers by what they predict for labelled images that they did not see.

The measure is the log-loss at the best temperature, not the accuracy: with a hundred predictions
two accuracies differ by chance more than most methods do, and log-losses differ much less
(reports/auto.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fewshot.evaluation.metrics import TEMPERATURES
from fewshot.runs import calibrating

FOLDS = 5  # of a repeat, for heads on frozen features
REPEATS = 4
ENOUGH = 2000  # predictions; no further fold is used
TRAINING_FOLDS = 3  # for what trains a network

Split = tuple[Tensor, Tensor]  # indices to learn from, indices held out


class Score(NamedTuple):
    """How good predictions for held-out images are.

    Attributes:
        loss: mean log-loss at the best temperature, in nats.
        accuracy: share that is right.
        losses: log-loss of each prediction at that temperature, float64 [m].
    """

    loss: float
    accuracy: float
    losses: Tensor


def splits(labels: Tensor, clusters: Tensor | None, seed: int) -> list[Split]:
    """Return the folds of several repeats, as far as they give new information."""
    chosen: list[Split] = []
    for split in _repeated(labels, clusters, seed):
        chosen.append(split)
        if sum(len(outside) for _, outside in chosen) >= ENOUGH:
            break
    return chosen


def _repeated(labels: Tensor, clusters: Tensor | None, seed: int) -> Iterator[Split]:
    for repeat in range(REPEATS):
        yield from calibrating.folds(labels, clusters, seed + repeat, FOLDS)


def score(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Score:
    """Score predictions for held-out images.

    Args:
        logits: float [m, n_way].
        labels: int64 [m].
        weights: weight of each image, [m]; None weights all alike.
    """
    weights = torch.ones(len(labels)) if weights is None else weights
    weights = weights.double() / weights.sum()
    rows = [
        F.cross_entropy(logits.double() / value, labels, reduction="none") for value in TEMPERATURES
    ]
    losses = min(rows, key=lambda row: float(weights @ row))
    correct = (logits.argmax(1) == labels).double()
    return Score(float(weights @ losses), float(weights @ correct), losses)


def is_hopeless(score: Score, best: Score) -> bool:
    """Return whether a classifier is worse than another on the same images by more than chance.

    It is, if the mean difference of the losses is above two standard errors.
    """
    worse = score.losses - best.losses
    error = float(worse.std()) / len(worse) ** 0.5 if len(worse) > 1 else 0.0
    return float(worse.mean()) > 2 * error
