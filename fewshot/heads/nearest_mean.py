"""Nearest-mean classifiers on features: by squared distance, or by cosine.

Source: with centred features of unit length (CL2N), Wang et al., SimpleShot, arXiv 1911.04623.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from fewshot import functional


def fit(
    features: Tensor,
    labels: Tensor,
    n_way: int,
    *,
    distance: Literal["euclidean", "cosine"] = "euclidean",
    scale: float = 10.0,
) -> Callable[[Tensor], Tensor]:
    """Return a classifier of features by the nearest class mean.

    Args:
        features: float [n, d].
        labels: int64 [n], in 0..n_way-1.
        n_way: number of classes.
        distance: the logits are minus the squared Euclidean distances, or the cosines.
        scale: factor of the logits.

    Returns:
        A function of features [m, d] that gives logits [m, n_way].
    """
    means = functional.prototypes(features, labels, n_way)

    def classify(queries: Tensor) -> Tensor:
        if distance == "cosine":
            return scale * functional.cosine_similarities(queries, means)
        return -scale * functional.squared_distances(queries, means)

    return classify
