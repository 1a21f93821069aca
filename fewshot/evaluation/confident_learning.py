"""Labels that are likely wrong, by confident learning.

An image is confidently of a class if its probability of that class reaches the mean that images
labelled with the class have. The labels of images that are confidently of another class, the
off-diagonal of the confident joint, are likely errors.

Where classes are hard to distinguish, most of these labels are right. `surest` leaves only those
whose probabilities are lower than mistakes of a calibrated classifier explain, at a limited rate
of false discoveries.

Source: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels",
Journal of Artificial Intelligence Research 70, 2021, equation 1 and section 3.2, method
C_confident; Benjamini and Hochberg, "Controlling the false discovery rate", Journal of the Royal
Statistical Society B 57 (1), 1995.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fewshot.heads import calibration

TOLERANCE = 1e-6  # of probabilities, against rounding
FALSE_SHARE = 0.5  # of the labels that `surest` returns, at most, if the classifier is calibrated
PASSES = 3
# Standard deviation of the logarithm of the temperature between passes.
TEMPERATURE_TOLERANCE = 0.2


class LikelyErrors(NamedTuple):
    """Images whose labels are likely wrong, the most likely first.

    Attributes:
        indices: positions of the images, int64 [m].
        scores: one minus the probability of each label, float [m].
        suggested: the class that each image is confidently of, int64 [m].
    """

    indices: Tensor
    scores: Tensor
    suggested: Tensor


def likely_errors(labels: Tensor, probabilities: Tensor) -> LikelyErrors:
    """Return the images whose labels are likely wrong, as confident learning finds them.

    Args:
        labels: int64 [n]; classes without images are allowed.
        probabilities: by classifiers that were not fitted to the image in question, float
            [n, n_way].
    """
    is_confident = probabilities >= thresholds(labels, probabilities) - TOLERANCE
    # If an image is confidently of several classes, the most probable class of all is its class.
    several = is_confident.sum(1) > 1
    guess = torch.where(several, probabilities.argmax(1), is_confident.byte().argmax(1))
    own = _of_labels(labels, probabilities)
    is_error = is_confident.any(1) & (guess != labels)
    is_error &= own + TOLERANCE < probabilities.amax(1)
    indices = is_error.nonzero()[:, 0]
    indices = indices[own[indices].argsort(stable=True)]
    return LikelyErrors(indices, 1 - own[indices], guess[indices])


def thresholds(labels: Tensor, probabilities: Tensor) -> Tensor:
    """Return the mean probability of each class over the images labelled with it, float [n_way].

    It is infinite for a class without images, of which no image is confidently.
    """
    n_way = probabilities.shape[1]
    own = _of_labels(labels, probabilities)
    sums = own.new_zeros(n_way).index_add_(0, labels, own)
    counts = labels.bincount(minlength=n_way)
    return torch.where(counts > 0, sums / counts.clamp_min(1), torch.inf)


def surest(labels: Tensor, logits: Tensor, temperature: float) -> LikelyErrors:
    """Return the likely errors among labels that are not just hard images.

    Wrong labels raise the temperature that is best for all labels, so it is chosen again without
    the labels that a pass finds.

    Args:
        labels: int64 [n].
        logits: by classifiers that were not fitted to the image in question, float [n, n_way].
        temperature: that makes them probabilities.
    """
    errors = likely_errors(labels, logits.softmax(1))
    for number in range(PASSES if len(labels) else 0):
        if number:
            others = torch.ones(len(labels), dtype=torch.bool)
            others[errors.indices] = False
            temperature = calibration.choose_temperature(
                logits[others],
                labels[others],
                expected=temperature,
                tolerance=TEMPERATURE_TOLERANCE,
            )
        probabilities = (logits / temperature).softmax(1)
        errors = likely_errors(labels, probabilities)
        chosen = is_discovery(surprise(labels, probabilities), FALSE_SHARE)[errors.indices]
        errors = LikelyErrors(*(values[chosen] for values in errors))
    return errors


def surprise(labels: Tensor, probabilities: Tensor) -> Tensor:
    """Return how probable it is that a true label has a probability as low as the given one.

    It is the p-value of the label if the classifier is calibrated, float [n].
    """
    own = _of_labels(labels, probabilities)[:, None]
    return torch.where(probabilities <= own, probabilities, 0.0).sum(1)


def is_discovery(p_values: Tensor, share: float) -> Tensor:
    """Return which p-values [n] are discoveries, of which at most a share is false, bool [n]."""
    n = len(p_values)
    ordered, order = p_values.sort()
    passes = ordered <= share * torch.arange(1, n + 1) / n
    n_discoveries = int(passes.nonzero()[-1]) + 1 if passes.any() else 0
    discoveries = torch.zeros(n, dtype=torch.bool)
    discoveries[order[:n_discoveries]] = True
    return discoveries


def _of_labels(labels: Tensor, probabilities: Tensor) -> Tensor:
    return probabilities.gather(1, labels[:, None])[:, 0]
