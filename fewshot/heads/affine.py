"""A linear classifier together with the preparation of the features that it reads."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fewshot import functional
from fewshot.heads import regression

Kind = Literal["logistic", "ridge", "nearest-mean", "cosine"]


class AffineHead(NamedTuple):
    """A classifier of features [n, d], in numbers alone, so that it can be stored and exported.

    Nearest means, ridge and logistic regression, cosine and linear heads are all of this form, up
    to a number for each image that no probability depends on.

    Attributes:
        weight: float [n_way, d].
        bias: float [n_way].
        centre: subtracted from the features, float [d]; None subtracts nothing.
        normalise: whether the features, after centring, are scaled to unit length.
    """

    weight: Tensor
    bias: Tensor
    centre: Tensor | None = None
    normalise: bool = False

    def prepared(self, features: Tensor) -> Tensor:
        """Return the features [n, d] as `weight` expects them."""
        if self.centre is not None:
            features = features - self.centre
        return F.normalize(features, dim=-1) if self.normalise else features

    def __call__(self, features: Tensor) -> Tensor:
        """Return the logits [n, n_way] of features [n, d]."""
        return F.linear(self.prepared(features), self.weight, self.bias)


def fit(
    features: Tensor,
    labels: Tensor,
    n_way: int,
    *,
    kind: Kind = "logistic",
    c: float | tuple[float, ...] = 1.0,
    scale: float = 10.0,
    centre: bool = True,
    normalise: bool = True,
) -> AffineHead:
    """Fit a classifier to labelled features.

    Args:
        features: float [n, d].
        labels: int64 [n]; every class 0..n_way-1 occurs.
        n_way: number of classes.
        kind: logistic or ridge regression, nearest mean by squared distance, or cosine to the mean.
        c: inverse strength of the regularisation of the two regressions, as `regression.fit` takes
            it.
        scale: factor of the logits of all kinds but the logistic regression, which has its own.
        centre: whether the mean of the features is subtracted.
        normalise: whether features, after centring, are scaled to unit length.
    """
    mean = features.mean(0) if centre else None
    unfitted = AffineHead(torch.empty(0), torch.empty(0), mean, normalise)
    prepared = unfitted.prepared(features)
    if kind == "logistic" or kind == "ridge":
        weight, bias = regression.fit(prepared, labels, n_way, kind=kind, c=c, scale=scale)
        return unfitted._replace(weight=weight, bias=bias)
    means = functional.prototypes(prepared, labels, n_way)
    if kind == "cosine":
        weight = scale * F.normalize(means, dim=-1)
        return AffineHead(weight, torch.zeros_like(weight[:, 0]), mean, normalise=True)
    # Minus the squared distance, without the square of the query.
    return unfitted._replace(weight=2 * scale * means, bias=-scale * means.square().sum(1))
