"""Sets of classes that contain the true one with a chosen probability.

An image's score is one minus the probability of its true class. A class is in the set of a new
image if its score there is not among the largest of the scores of labelled images, which were
computed with their own folds held out. A set always has the most probable class.

Sources: Sadinle et al., "Least ambiguous set-valued classifiers", JASA 114 (525), 2019; scores out
of fold, Vovk, "Cross-conformal predictors", Annals of Mathematics and AI 74, 2015.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fewshot.errors import UserError


def needed(coverage: float) -> int:
    """Return how many labelled images a coverage needs at least: 9 for 0.9, 99 for 0.99."""
    return math.ceil(round(coverage / (1 - coverage), 9))


def sets(scores: Tensor, probabilities: Tensor, coverage: float) -> Tensor:
    """Return which classes are in the set of each image, bool [n, n_way].

    Args:
        scores: of the labelled images, out of fold: one minus the probability of the true class,
            float [n_labels].
        probabilities: of the images to classify, float [n, n_way].
        coverage: share of the sets that contain the true class, in (0, 1).

    Raises:
        UserError: there are too few labelled images for this coverage.
    """
    check(coverage, len(scores))
    rank = math.ceil(round(coverage * (len(scores) + 1), 9))
    largest = scores.sort().values[rank - 1]
    inside = 1 - probabilities <= largest
    inside[torch.arange(len(inside)), probabilities.argmax(1)] = True
    return inside


def check(coverage: float, n_labels: int) -> None:
    """Raise UserError if a coverage is impossible, or needs more labelled images."""
    if not 0 < coverage < 1:
        raise UserError(
            f"a coverage of {coverage:g} is impossible: choose a share between 0 and 1, such as "
            "0.9."
        )
    least = needed(coverage)
    if n_labels < least:
        remedy = "label more images"
        if n_labels:
            remedy += f", or choose a coverage of at most {math.floor(100 * n_labels / (n_labels + 1)) / 100:g}"
        raise UserError(
            f"sets that contain the true class in {100 * coverage:.4g}% of all cases need at least "
            f"{least} labelled images that were held out, and there are {n_labels}: {remedy}."
        )


def in_words(coverage: float, n_labels: int) -> str:
    """Return how sure sets of a coverage are, such as "about 90%, from 160 labels"."""
    percent = f"{100 * coverage:.4g}%"
    return f"about {percent}, from {n_labels} label{'' if n_labels == 1 else 's'}"
