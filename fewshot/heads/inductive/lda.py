"""Linear discriminant analysis: class means and one covariance, which is shrunk.

The covariance S of all classes is the mean of their own covariances. It is shrunk towards a
multiple of the identity that has the same trace, with the shrinkage g in D dimensions:

    C = (1 - g) S + g tr(S) / D  I,    logit of class w:  x C^-1 m_w - m_w C^-1 m_w / 2.

S has the rank of the support at most. So with R^T R = (1 - g) S and a = g tr(S) / D, the inverse is
that of a matrix of the size of the support (Woodbury): C^-1 = (I - R^T (R R^T + a I)^-1 R) / a.

What differs: with a single image of each class S is zero, and a is one: the nearest class mean. All
classes are expected equally often. Otherwise this is scikit-learn's LinearDiscriminantAnalysis with
the solver `lsqr`, a fixed shrinkage and equal priors.

Source: Friedman, Regularized discriminant analysis, Journal of the American Statistical Association
84 (405), 1989, equations 16 and 18 with lambda = 1.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from fewshot import functional
from fewshot.config import ShareUpToOne
from fewshot.heads.inductive.linear import Linear, LinearHead
from fewshot.heads.task_head import TaskHeadOptions


class Options(TaskHeadOptions):
    """The settings of `lda`."""

    shrinkage: ShareUpToOne = Field(
        default=0.5,
        description="Share of the multiple of the identity in the covariance; 1 is the nearest "
        "class mean.",
    )


class LDA(LinearHead):
    """Linear discriminant analysis with a shrunk covariance."""

    options_type = Options
    options: Options

    def fit(self, support_TSD: Tensor, labels_TS: Tensor, n_way: int) -> Linear:
        shrinkage, n_features = self.options.shrinkage, support_TSD.shape[2]
        one_hot_TSW = functional.one_hot(labels_TS, n_way, support_TSD)
        centre_T1D = support_TSD.mean(1, keepdim=True)  # takes nothing but rounding errors away
        support_TSD = support_TSD - centre_T1D
        means_TWD = functional.prototypes(support_TSD, labels_TS, n_way)
        counts_TS1 = (one_hot_TSW * one_hot_TSW.sum(1, keepdim=True)).sum(2, keepdim=True)
        # The covariance S is the sum of the squares of these rows.
        rows_TSD = (support_TSD - one_hot_TSW @ means_TWD) / (n_way * counts_TS1).sqrt()
        trace_T11 = rows_TSD.square().sum((1, 2), keepdim=True)
        least = torch.finfo(trace_T11.dtype).eps * support_TSD.square().sum((1, 2), keepdim=True)
        a_T11 = torch.where(trace_T11 > least, shrinkage * trace_T11 / n_features, 1.0)
        root_TSD = (1 - shrinkage) ** 0.5 * rows_TSD
        identity_SS = torch.eye(root_TSD.shape[1], dtype=root_TSD.dtype, device=root_TSD.device)
        factor_TSS = torch.linalg.cholesky(root_TSD @ root_TSD.mT + a_T11 * identity_SS)
        inner_TSW = torch.cholesky_solve(root_TSD @ means_TWD.mT, factor_TSS)
        weight_TWD = (means_TWD - inner_TSW.mT @ root_TSD) / a_T11
        return Linear(weight_TWD, -(weight_TWD * (means_TWD / 2 + centre_T1D)).sum(2))
