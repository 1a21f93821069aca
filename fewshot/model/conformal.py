"""Sets of classes that contain the true one with a chosen probability."""

from __future__ import annotations

from torch import Tensor


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
    raise NotImplementedError
