"""What to label first: the request and its answer, which every method of selection shares."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor

Method = Literal["max-herding", "k-means", "typiclust", "margin", "coreset", "random"]


class Pool(NamedTuple):
    """The images among which some are to be labelled, and those that have labels already.

    Attributes:
        features: of the unlabelled images, float32 [n, d].
        labelled: features of the labelled images, float32 [m, d]; m may be 0.
        labels: int64 [m].
        uncertainty: one minus the margin between the two largest probabilities of a calibrated
            classifier of the labelled images, float32 [n]; None if there is none.
    """

    features: Tensor
    labelled: Tensor
    labels: Tensor
    uncertainty: Tensor | None = None


class Picks(NamedTuple):
    """The images to label, the most useful first.

    Attributes:
        indices: positions in the pool, int64 [budget].
        method: the method that selected them.
        gains: what each pick added to the method's objective, float32 [budget]; not comparable
            between methods.
    """

    indices: Tensor
    method: Method
    gains: Tensor
