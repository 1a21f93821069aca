"""Labels that are likely wrong, by confident learning.

An image is confidently of a class if its probability of that class reaches the mean that images
labelled with the class have. The labels of images that are confidently of another class, the
off-diagonal of the confident joint, are likely errors.

Source: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels",
Journal of Artificial Intelligence Research 70, 2021, equation 1 and section 3.2, method
C_confident.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TOLERANCE = (
    1e-6  # of probabilities, so that rounding leaves an image with the mean itself confident
)


class LikelyErrors(NamedTuple):
    """Images whose labels are likely wrong, the most likely first.

    Attributes:
        indices: positions of the images, int64 [m].
        scores: how likely each label is wrong, from 0 to 1, as `suspicion` defines it, float [m].
        suggested: the class that each image is confidently of, int64 [m].
    """

    indices: Tensor
    scores: Tensor
    suggested: Tensor


def likely_errors(labels: Tensor, probabilities: Tensor) -> LikelyErrors:
    """Return the images whose labels are likely wrong.

    Args:
        labels: int64 [n]; classes without images are allowed.
        probabilities: by classifiers that were not fitted to the image in question, and calibrated,
            float [n, n_way].
    """
    rows = torch.arange(len(labels))
    is_confident = probabilities >= thresholds(labels, probabilities) - TOLERANCE
    # The most probable of the confident classes; of several, it is the most probable of all, as in
    # the authors' implementation, even if that is not confident.
    several = is_confident.sum(1) > 1
    guess = torch.where(several, probabilities.argmax(1), is_confident.byte().argmax(1))
    most_of_others = _most_of_others(labels, probabilities)
    is_error = is_confident.any(1) & (guess != labels)
    is_error &= probabilities[rows, labels] + TOLERANCE < most_of_others
    scores = suspicion(labels, probabilities)
    indices = is_error.nonzero()[:, 0]
    indices = indices[scores[indices].argsort(descending=True, stable=True)]
    return LikelyErrors(indices, scores[indices], guess[indices])


def thresholds(labels: Tensor, probabilities: Tensor) -> Tensor:
    """Return the mean probability of each class over the images labelled with it, float [n_way].

    It is infinite for a class without images, of which no image is confidently.
    """
    n_way = probabilities.shape[1]
    own = probabilities.gather(1, labels[:, None])[:, 0]
    sums = own.new_zeros(n_way).index_add_(0, labels, own)
    counts = labels.bincount(minlength=n_way)
    return torch.where(counts > 0, sums / counts.clamp_min(1), torch.inf)


def suspicion(labels: Tensor, probabilities: Tensor) -> Tensor:
    """Return how likely each label is wrong, from 0 to 1, float [n].

    It is half of one minus the normalised margin: the probability of the label less the largest
    one of the other classes.

    Args:
        labels: int64 [n].
        probabilities: float [n, n_way].
    """
    own = probabilities.gather(1, labels[:, None])[:, 0]
    return (1 - own + _most_of_others(labels, probabilities)) / 2


def _most_of_others(labels: Tensor, probabilities: Tensor) -> Tensor:
    return probabilities.scatter(1, labels[:, None], -torch.inf).amax(1)
