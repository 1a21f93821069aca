"""The nearest class mean: prototypes of cached features.

A query x has the logit 2 x m_w - |m_w|^2 for the mean m_w of class w, which is -|x - m_w|^2 plus
|x|^2, the same for all classes; or the cosine of x and m_w. With `features: L2N` or `CL2N` this is
SimpleShot, with `UN` the classifier of a prototypical network.

What differs: without base classes, SimpleShot has no centre; here it is the mean of the support.

Sources: Wang et al., SimpleShot, arXiv 1911.04623; Snell et al., arXiv 1703.05175.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from episodes.tasks.task_set import TaskSet
from fewshot import functional
from fewshot.heads.inductive.linear import Linear, LinearHead
from fewshot.heads.pool import class_means
from fewshot.heads.task_head import TaskHeadOptions


class Options(TaskHeadOptions):
    """The settings of `nearest-mean`."""

    distance: Literal["euclidean", "cosine"] = Field(
        default="euclidean",
        description="What compares a query with a class mean: the squared Euclidean distance, or "
        "the cosine.",
    )


class NearestMean(LinearHead):
    """The nearest class mean."""

    options_type = Options
    options: Options

    @property
    def unit_queries(self) -> bool:
        return self.options.distance == "cosine"

    def fit(self, support_TSD: Tensor, labels_TS: Tensor, n_way: int) -> Linear:
        return self._compare_with(functional.prototypes(support_TSD, labels_TS, n_way))

    def fit_on_pool(self, pool_ND: Tensor, tasks: TaskSet) -> Linear:
        return self._compare_with(class_means(pool_ND, tasks))

    def _compare_with(self, means_TWD: Tensor) -> Linear:
        if self.options.distance == "cosine":
            return Linear(F.normalize(means_TWD, dim=-1), torch.zeros_like(means_TWD[..., 0]))
        return Linear(2 * means_TWD, -means_TWD.square().sum(-1))
