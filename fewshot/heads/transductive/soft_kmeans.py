"""Soft k-means: class means that also contain the queries, in proportion to their assignments.

The class means m_w of the support are refined with the queries x_j, `steps` times:

    z_jw = softmax over w of -a |x_j - m_w|^2
    m_w  = (sum of the support of w + sum over j of z_jw x_j) / (shots of w + sum over j of z_jw)

The logits are -a |x_j - m_w|^2 with the last means. No balance of the queries is assumed.

What differs: the authors refine with unlabelled images that are not the queries, in an embedding
that was trained together with the refinement, so that they need no scale a; here the embedding is
given, and features of unit length need one.

Source: Ren et al., Meta-learning for semi-supervised few-shot classification, arXiv 1803.00676,
section 3.1.1.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from fewshot.config import Count, Positive
from fewshot.functional import one_hot
from fewshot.heads.task_head import TaskHead, TaskHeadOptions
from fewshot.heads.transductive.geometry import squared_distances


class Options(TaskHeadOptions):
    """The settings of `soft-kmeans`."""

    scale: Positive = Field(
        default=10.0, description="Factor a of the squared distances in the assignments."
    )
    steps: Count = Field(
        default=1, description="Number of refinements; the paper's experiments make one."
    )


class SoftKMeans(TaskHead):
    """Soft k-means, started from the class means of the support."""

    transductive = True
    options_type = Options
    options: Options

    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        one_hot_TSW = one_hot(labels_TS, n_way, support_TSD)
        sums_TWD = one_hot_TSW.mT @ support_TSD
        counts_TW1 = one_hot_TSW.sum(1)[..., None]
        means_TWD = sums_TWD / counts_TW1
        for _ in range(self.options.steps):
            logits_TQW = -self.options.scale * squared_distances(query_TQD, means_TWD)
            shares_TQW = logits_TQW.softmax(-1)
            totals_TW1 = counts_TW1 + shares_TQW.sum(1)[..., None]
            means_TWD = (sums_TWD + shares_TQW.mT @ query_TQD) / totals_TW1
        return -self.options.scale * squared_distances(query_TQD, means_TWD)
