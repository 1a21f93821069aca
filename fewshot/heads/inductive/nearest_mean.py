"""The nearest class mean: prototypes of cached features.

A query x has the logit -|x - m_w|^2 for the mean m_w of class w, or the cosine of x and m_w. With
`features: L2N` or `CL2N` this is SimpleShot, with `UN` the classifier of a prototypical network.

What differs: without base classes, SimpleShot has no centre; here it is the mean of the support.

Sources: Wang et al., SimpleShot, arXiv 1911.04623; Snell et al., arXiv 1703.05175.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from fewshot import functional
from fewshot.heads.task_head import TaskHead, TaskHeadOptions


class Options(TaskHeadOptions):
    """The settings of `nearest-mean`."""

    distance: Literal["euclidean", "cosine"] = Field(
        default="euclidean",
        description="What compares a query with a class mean: the squared Euclidean distance, or "
        "the cosine.",
    )


class NearestMean(TaskHead):
    """The nearest class mean."""

    transductive = False
    options_type = Options
    options: Options

    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        means_TWD = functional.prototypes(support_TSD, labels_TS, n_way)
        products_TQW = query_TQD @ means_TWD.mT
        if self.options.distance == "cosine":
            lengths_TQ1 = query_TQD.norm(dim=-1, keepdim=True)
            lengths_T1W = means_TWD.norm(dim=-1)[:, None]
            return products_TQW / (lengths_TQ1 * lengths_T1W).clamp(min=1e-12)
        squares_TQ1 = query_TQD.square().sum(-1, keepdim=True)
        squares_T1W = means_TWD.square().sum(-1)[:, None]
        return 2 * products_TQW - squares_TQ1 - squares_T1W
