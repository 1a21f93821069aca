"""Calibrated class probabilities: the prior of a classifier, and one temperature.

A classifier that was trained on unequal numbers of labels expects the same frequencies later.
Adding the logarithm of the ratio of two priors to its logits replaces one by the other (Saerens et
al., Neural Computation 14 (1), 2002; Menon et al., logit adjustment, arXiv 2007.07314). One
temperature, chosen on labelled images that were held out, then makes its confidence agree with its
accuracy (Guo et al., arXiv 1706.04599, section 4.2). No test image is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from fewshot import functional
from fewshot.config import Prior

REFERENCE_SCALE = 10.0  # of cosines: Chen et al., Meta-Baseline, arXiv 2003.04390
LOG_RANGE = 7.0  # temperatures from exp(-7) to exp(7)
GRID = 141  # values of a grid, which is refined three times

Classify = Callable[[Tensor], Tensor]  # images -> logits [n, n_way]


@dataclass(frozen=True)
class Calibration:
    """The numbers that turn the logits of a classifier into those of calibrated probabilities.

    Args:
        shift: added to the logits of each class for the prior, [n_way]; None adds nothing.
        temperature: divides the shifted logits.
    """

    shift: Tensor | None = None
    temperature: float = 1.0

    @property
    def shift_as_list(self) -> list[float] | None:
        """The shift as plain numbers."""
        return None if self.shift is None else self.shift.tolist()

    def shifted(self, classify: Classify) -> Classify:
        """Return the classifier under the prior; the same one if there is no shift."""
        shift = self.shift
        if shift is None:
            return classify

        def classify_shifted(images: Tensor) -> Tensor:
            logits = classify(images)
            return logits + shift.to(logits)

        return classify_shifted

    def calibrated(self, classify: Classify) -> Classify:
        """Return the classifier under the prior and at the temperature."""
        shifted = self.shifted(classify)
        return lambda images: shifted(images) / self.temperature


def frequencies(prior: Prior, classes: Sequence[str], counts: Tensor) -> Tensor:
    """Return how often a classifier expects each class, relative to the mean, float64 [n_way].

    Args:
        prior: `balanced`, `training` (as often as the labels), or weights by class name.
        classes: class names, in the order of the logits.
        counts: labels of each class that the classifier was fitted to, [n_way]; without any
            label, `training` is `balanced`.
    """
    if prior == "balanced" or (prior == "training" and not counts.any()):
        return torch.ones(len(counts), dtype=torch.float64, device=counts.device)
    if prior == "training":
        weights = counts.double()
    else:
        values = [prior.get(name, 1.0) for name in classes]
        weights = torch.tensor(values, dtype=torch.float64, device=counts.device)
    return weights / weights.mean()


def prior_shift(
    prior: Prior, classes: Sequence[str], counts: Tensor, learned: bool
) -> Tensor | None:
    """Return what to add to logits so that they expect the classes as often as `prior` says.

    Args:
        prior, classes, counts: as for `frequencies`.
        learned: whether the logits contain the frequencies of these labels.

    Returns:
        float32 [n_way], or None if nothing is to be added.
    """
    shift = frequencies(prior, classes, counts).log()
    if learned:
        shift = shift - frequencies("training", classes, counts).log()
    return shift.float() if shift.any() else None


def image_weights(labels: Tensor, expected: Tensor) -> Tensor | None:
    """Return weights of labelled images under which the classes are as frequent as expected.

    They add up to the effective number of images (Kish), which is smaller than their number unless
    all weigh alike.

    Args:
        labels: int64 [n].
        expected: relative frequency of each class, [n_way].

    Returns:
        float32 [n], or None if all images weigh alike.
    """
    weights = (expected / labels.bincount(minlength=len(expected)))[labels]
    if (weights == weights[0]).all():
        return None
    return (weights * weights.sum() / weights.square().sum()).float()


def choose_temperature(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    *,
    expected: float = 1.0,
    tolerance: float = math.inf,
) -> float:
    """Choose the temperature with the lowest negative log-likelihood on labelled images.

    A normal prior on the logarithm of the temperature prevails if there are few images.

    Args:
        logits: of images that the classifier was not fitted to, [n, n_way].
        labels: int64 [n].
        weights: weight of each image, [n]; None weights all alike.
        expected: the centre of that prior, a temperature.
        tolerance: standard deviation of that prior, on the logarithm; infinite for no prior.
    """
    logits = logits.double()
    weights = torch.ones_like(logits[:, 0]) if weights is None else weights
    excess = logits - logits.gather(1, labels[:, None])
    centre, half = math.log(expected) if tolerance < math.inf else 0.0, LOG_RANGE
    for _ in range(4):
        grid = torch.linspace(
            centre - half, centre + half, GRID, dtype=torch.float64, device=logits.device
        )
        losses = torch.stack(
            [weights.double() @ (excess / value).logsumexp(1) for value in grid.exp()]
        )
        losses += ((grid - math.log(expected)) / tolerance).square() / 2
        centre, half = float(grid[losses.argmin()]), 2 * half / (GRID - 1)
    return math.exp(centre)


def relative_spread(logits: Tensor, others: Tensor) -> float:
    """Return the ratio of the spreads of two sets of logits; 1 if one of them has no spread.

    The spread is the mean over images of the standard deviation of their logits.
    """
    ours, theirs = (float(one.double().std(1).mean()) for one in (logits, others))
    return ours / theirs if ours > 0 and theirs > 0 else 1.0


def cosine_reference(support: Tensor, labels: Tensor, n_way: int, queries: Tensor) -> Tensor:
    """Return the logits of a cosine head of scale 10 on centred features, [n, n_way].

    Its probabilities are about right without any calibration, even with one label per class. So
    the logits of another classifier on the same features are expected to have the same spread.
    """
    centre = support.mean(0)
    means = functional.prototypes(F.normalize(support - centre, dim=-1), labels, n_way)
    return REFERENCE_SCALE * functional.cosine_similarities(queries - centre, means)
