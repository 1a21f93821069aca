"""A linear classifier together with the preparation of the features that it reads."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F


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
