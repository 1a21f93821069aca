"""Whether an image belongs to one of the known classes at all.

The known score of an image is the cosine of its features with the nearest class mean, after
subtraction of a centre (`centre`). The mean of the labelled images alone would not do: with two
classes, it leaves nothing but the difference between them.

Source: the score is the nearest mean of centred features of unit length (CL2N), Wang et al.,
SimpleShot, arXiv 1911.04623; classes that are far from all means are unknown, as in Mensink et al.,
"Distance-based image classification", PAMI 35 (11), 2013.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fewshot import backbones, functional
from fewshot.config import BackboneSettings
from fewshot.model import generic_means

NOTHING = -1.0  # a threshold that refuses nothing: no cosine is below it
PART_OF_GENERIC = 0.3  # chosen on training images of CIFAR-10: docs/log.md
SMALLEST = 1e-12  # length that a class mean has at least, as a divisor


class Rejection(NamedTuple):
    """What refuses images of no known class.

    Attributes:
        centre: generic mean of the network's features, float [d].
        means: unit class means of centred features, float [n_way, d].
        threshold: known score below which an image is refused.
        share: share of images of the known classes that the threshold was chosen to refuse.
    """

    centre: Tensor
    means: Tensor
    threshold: float
    share: float


def fit(
    features: Tensor,
    labels: Tensor,
    n_way: int,
    centre: Tensor,
    share: float,
    clusters: Tensor | None = None,
) -> Rejection:
    """Choose the threshold by leaving out each labelled image once.

    An image that is alone in its class cannot be left out. Where fewer than three images can
    be, nothing is refused.

    Args:
        features: of the labelled images, float [n, d].
        labels: int64 [n]; every class 0..n_way-1 occurs.
        n_way: number of classes.
        centre: generic mean of the network's features, float [d].
        share: share of images of the known classes that may be refused.
        clusters: number of the cluster of each image, int64 [n]; an image is left out together
            with the others of its cluster. None if each is on its own.
    """
    unit = F.normalize(features - centre, dim=1)
    sums = unit.new_zeros(n_way, unit.shape[1]).index_add_(0, labels, unit)
    means = F.normalize(sums, dim=1)
    scores = scores_left_out(unit, labels, sums, clusters)
    return Rejection(centre, means, _threshold(scores, share), share)


def scores_alone(features: Tensor, labels: Tensor, n_way: int, share: float) -> Rejection:
    """Return what gives known scores and refuses nothing, for a network that learned these images.

    Such a network puts them nearer to their class means than new images, so that they do not say
    where a threshold would be.

    Args:
        features, labels, n_way, share: as for `fit`.
    """
    of_classes = functional.prototypes(features, labels, n_way).mean(0)
    fitted = fit(features, labels, n_way, of_classes, share)
    return fitted._replace(threshold=NOTHING)


def notes(rejection: Rejection) -> tuple[str, ...]:
    """Return what a user must know: a sentence if nothing is refused."""
    if rejection.threshold > NOTHING:
        return ()
    return (
        "no image is refused as unknown: that needs several labelled images in each class and a "
        "network that was not trained on them",
    )


def generic_mean(settings: BackboneSettings) -> Tensor | None:
    """Return the mean features of many images of many classes, float [d].

    Args:
        settings: the network.

    Returns:
        The mean that is shipped for the network; None for other networks and other weights.
    """
    return generic_means.shipped(settings)


def centre(settings: BackboneSettings, features: Tensor, labels: Tensor) -> Tensor:
    """Return what `fit` subtracts from the features of a network, float [d].

    It is PART_OF_GENERIC times the generic mean of the network, or, where none is shipped, the mean
    of the class means. A network for photos has the middle between the two means, because its
    generic mean is that of small images (docs/log.md).

    Args:
        settings: the network.
        features: of the labelled images, float [n, d].
        labels: int64 [n]; every class occurs.
    """
    of_classes = functional.prototypes(features, labels, int(labels.max()) + 1).mean(0)
    generic = generic_mean(settings)
    if generic is None:
        return of_classes
    is_for_photos = settings.name not in backbones.OWN and not settings.beside
    return (generic + of_classes) / 2 if is_for_photos else PART_OF_GENERIC * generic


def known_scores(rejection: Rejection, features: Tensor) -> Tensor:
    """Return the cosine to the nearest class mean, float [n], of features [n, d]."""
    unit = F.normalize(features - rejection.centre, dim=1)
    return (unit @ rejection.means.T).amax(1)


def scores_left_out(
    unit: Tensor,
    labels: Tensor,
    sums: Tensor,
    clusters: Tensor | None,
    counts: Tensor | None = None,
) -> Tensor:
    """Return the known scores of labelled images, each of which its class mean leaves out.

    Images that are alone in their class have none.

    The mean of fewer images is longer, because it averages out less, and its cosines are smaller.
    The inner product with it is therefore divided by the length of the mean of all images.

    Args:
        unit: features of length 1, float [n, d].
        labels: int64 [n].
        sums: sum of the features of all images of each class, [n_way, d].
        clusters: images of one cluster are left out together, int64 [n]; None if each is on its
            own.
        counts: number of images of each class, int64 [n_way]; None to count the labels, which are
            then those of all images.
    """
    every = torch.arange(len(labels))
    groups = every if clusters is None else _groups(labels, clusters)
    n_groups = int(groups.max()) + 1
    group_sums = unit.new_zeros(n_groups, unit.shape[1]).index_add_(0, groups, unit)
    counts = labels.bincount(minlength=len(sums)) if counts is None else counts
    others = counts[labels] - groups.bincount(minlength=n_groups)[groups]
    without = (sums[labels] - group_sums[groups]) / others.clamp_min(1)[:, None]
    lengths = sums.norm(dim=1) / counts
    scores = unit @ F.normalize(sums, dim=1).T
    scores[every, labels] = (unit * without).sum(1) / lengths[labels].clamp_min(SMALLEST)
    return scores.amax(1)[others > 0].clamp(-1, 1)


def _groups(labels: Tensor, clusters: Tensor) -> Tensor:
    """Return numbers 0, 1, ... of the pairs of class and cluster of images, int64 [n]."""
    pairs = torch.stack([labels, clusters], 1)
    return pairs.unique(dim=0, return_inverse=True)[1]


def _threshold(scores: Tensor, share: float) -> float:
    """Return the threshold below which a further score is with probability `share`.

    It is an order statistic where there are enough scores. Of fewer, it is the limit of prediction
    of a normal distribution. Two images of a class share an inner product, which is part of the
    score of both, so n scores say as much about it as n / 2 independent ones.
    """
    n = len(scores)
    if n < 3:
        return NOTHING
    rank = math.floor(round(share * (n + 1), 9))
    if rank >= 1:
        return float(scores.sort().values[rank - 1])
    from scipy.stats import t

    spread = float(scores.double().std()) * math.sqrt(1 + 2 / n)
    lowest = float(scores.double().mean()) + float(t.ppf(share, n / 2 - 1)) * spread
    return max(NOTHING, lowest)
