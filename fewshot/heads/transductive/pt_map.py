"""PT-MAP: a power transform of the features, and class means from balanced assignments.

Features x are prepared by the power transform (x + 1e-6)^b, unit length, and then, for the support
and the queries separately, subtraction of their mean and unit length again. The class means m_w of
the support are refined with the queries x_j, `steps` times:

    P   = the matrix nearest to exp(-L |x_j - m_w|^2) whose rows have the sum 1 and whose columns
          have the sum (number of queries) / (number of classes); by Sinkhorn's algorithm
    m_w <- m_w + a (mean of the support of w and of the queries, weighted by P_jw, - m_w)

The logits are log P for the last means.

Assumption: each class has the same number of queries, twice: in the sums of the columns, and in the
mean of the queries that is subtracted. With unequal queries this is wrong, and the accuracy falls
(Veilleux et al., arXiv 2204.11181).

What differs: the transform needs features of at least zero, as behind a ReLU, and features with
negative values get the transform of their magnitude, with the sign. Sinkhorn's algorithm ends for
each task by itself, so that the tasks of a batch do not depend on each other. easyfsl transforms,
but neither scales nor centres.

Source: Hu, Gripon, Pateux, Leveraging the feature distribution in transfer-based few-shot learning,
arXiv 2006.03806, sections 3.2 and 3.3, and the authors' program for the preparation.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from fewshot.config import Count, Positive, ShareUpToOne
from fewshot.functional import one_hot
from fewshot.heads.task_head import TaskHead, TaskHeadOptions
from fewshot.heads.transductive.geometry import coordinates, log_probabilities, squared_distances

SINKHORN_STEPS, SINKHORN_TOLERANCE = 1000, 1e-6  # of the authors' program
CHECKED = 10  # steps between two tests of whether all tasks have ended, which wait for a GPU


class Options(TaskHeadOptions):
    """The settings of `pt-map`."""

    features: Literal["UN", "L2N", "CL2N"] = Field(
        default="UN",
        description="How features are prepared before the power transform, which is followed by "
        "centring and scaling of its own; the values are those of `nearest-mean`.",
    )
    power: ShareUpToOne = Field(default=0.5, description="Exponent b of the power transform.")
    sharpness: Positive = Field(
        default=10.0, description="Factor L of the squared distances in the assignments."
    )
    rate: ShareUpToOne = Field(
        default=0.2, description="Share a of the way to the new means that a step goes."
    )
    steps: Count = Field(default=20, description="Number of refinements of the class means.")


def transformed(features_TND: Tensor, power: float) -> Tensor:
    """Return the power transform of features, centred within the task, of unit length."""
    signs_TND = torch.where(features_TND < 0, -1.0, 1.0)
    features_TND = F.normalize(signs_TND * (features_TND.abs() + 1e-6) ** power, dim=-1)
    return F.normalize(features_TND - features_TND.mean(1, keepdim=True), dim=-1)


def balanced(kernel_TQW: Tensor) -> Tensor:
    """Return P: rows of a positive matrix scaled to the sum 1, columns to equal sums, [t, q, w].

    The columns have exactly these sums, the rows as nearly as the tolerance asks for. A task that
    has reached it stays as it is while others go on.
    """
    per_class = kernel_TQW.shape[1] / kernel_TQW.shape[2]
    columns_TW1 = torch.ones_like(kernel_TQW[:, :1].mT)
    factors_TQ1 = torch.zeros_like(kernel_TQW[..., :1])
    sums_TQ1 = torch.full_like(factors_TQ1, torch.inf)
    active_T11 = torch.ones_like(kernel_TQW[:, :1, :1], dtype=torch.bool)
    for number in range(1, SINKHORN_STEPS + 1):
        weighted_TQ1 = kernel_TQW @ columns_TW1
        previous_TQ1, sums_TQ1 = sums_TQ1, factors_TQ1 * weighted_TQ1
        change_T11 = (sums_TQ1 - previous_TQ1).abs().amax(1, keepdim=True)
        active_T11 = active_T11 & (change_T11 > SINKHORN_TOLERANCE)
        if number % CHECKED == 0 and not active_T11.any():
            break
        factors_TQ1 = torch.where(active_T11, 1 / weighted_TQ1, factors_TQ1)
        updated_TW1 = per_class / (kernel_TQW.mT @ factors_TQ1)
        columns_TW1 = torch.where(active_T11, updated_TW1, columns_TW1)
    return factors_TQ1 * kernel_TQW * columns_TW1.mT


class PTMAP(TaskHead):
    """Balanced optimal transport to class means, after a power transform."""

    transductive = True
    at_once = 8
    options_type = Options
    options: Options

    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        support_TSD = transformed(support_TSD, self.options.power)
        query_TQD = transformed(query_TQD, self.options.power)
        return self.refine(support_TSD, labels_TS, query_TQD, n_way)

    def refine(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        """Return the logits [t, q, n_way] from transformed features."""
        support_TSR, query_TQR = coordinates(support_TSD, query_TQD)
        one_hot_TSW = one_hot(labels_TS, n_way, support_TSR)
        sums_TWR = one_hot_TSW.mT @ support_TSR
        counts_TW1 = one_hot_TSW.sum(1)[..., None]
        means_TWR = sums_TWR / counts_TW1
        for _ in range(self.options.steps):
            plans_TQW = balanced(self._kernel(query_TQR, means_TWR))
            totals_TW1 = counts_TW1 + plans_TQW.sum(1)[..., None]
            updated_TWR = (sums_TWR + plans_TQW.mT @ query_TQR) / totals_TW1
            means_TWR = means_TWR + self.options.rate * (updated_TWR - means_TWR)
        return log_probabilities(balanced(self._kernel(query_TQR, means_TWR)))

    def _kernel(self, query_TQR: Tensor, means_TWR: Tensor) -> Tensor:
        """Return exp(-L |x - m|^2), with 1 as the greatest value of each query, [t, q, n_way]."""
        logits_TQW = -self.options.sharpness * squared_distances(query_TQR, means_TWR)
        return (logits_TQW - logits_TQW.amax(-1, keepdim=True)).exp()
