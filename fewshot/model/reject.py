"""Whether an image belongs to one of the known classes at all."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


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


def fit(features: Tensor, labels: Tensor, n_way: int, centre: Tensor, share: float) -> Rejection:
    """Choose the threshold by leaving out each labelled image once.

    Args:
        features: of the labelled images, float [n, d].
        labels: int64 [n].
        n_way: number of classes.
        centre: generic mean of the network's features, float [d].
        share: share of images of the known classes that may be refused.
    """
    raise NotImplementedError


def known_scores(rejection: Rejection, features: Tensor) -> Tensor:
    """Return the cosine to the nearest class mean, float [n], of features [n, d]."""
    raise NotImplementedError
