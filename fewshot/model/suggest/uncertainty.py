"""How unsure a calibrated classifier of the labelled images is of the others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fewshot.model import heads
from fewshot.model.classifier import Recipe

Classify = Callable[[Tensor], Tensor]  # features [n, d] -> probabilities [n, n_way]

FEWEST = 2  # labels of each class, without which no image can be held out of all classes
RECIPE = Recipe("logistic")


def classifier_of(labelled: Tensor, labels: Tensor, n_way: int) -> Classify | None:
    """Return a calibrated classifier of labelled images: features [n, d] -> probabilities.

    Args:
        labelled: features of the labelled images, float32 [m, d].
        labels: int64 [m].
        n_way: number of classes.

    Returns:
        None unless there are two classes, of which each has two labels, so that the probabilities
        can be calibrated out of fold.
    """
    if not are_enough(labels, n_way):
        return None
    head = heads.fit_head(labelled, labels, n_way, RECIPE)
    held_out = heads.out_of_fold(labelled, labels, n_way, RECIPE)
    temperature = heads.temperature(head, labelled, labels, held_out)
    return lambda features: (head(features) / temperature).softmax(1)


def of_labels(features: Tensor, labelled: Tensor, labels: Tensor, n_way: int) -> Tensor | None:
    """Return one minus the margin of the classifier of labelled images, float32 [n].

    Args:
        features: of the unlabelled images, float32 [n, d].
        labelled, labels, n_way: as for `classifier_of`, whose None is returned as well.
    """
    classify = classifier_of(labelled, labels, n_way)
    return None if classify is None else one_minus_margin(classify(features))


def one_minus_margin(probabilities: Tensor) -> Tensor:
    """Return one minus the difference of the two largest probabilities [n] of [n, n_way]."""
    largest = probabilities.topk(2, dim=1).values
    return (1 - largest[:, 0] + largest[:, 1]).float()


def are_enough(labels: Tensor, n_way: int) -> bool:
    """Return whether there are two classes or more, and each has two labels."""
    return n_way > 1 and int(torch.bincount(labels, minlength=n_way).min()) >= FEWEST
