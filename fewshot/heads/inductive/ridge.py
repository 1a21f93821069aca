"""Ridge regression on one-hot labels, in closed form.

For the support X (one image a row), its one-hot labels Y and the penalty a,

    W = X^T (X X^T + a I)^-1 Y,    logits of a query x:  x W + b.

This is the dual form, whose system has the size of the support and not of the features.

What differs: the bias b is not penalised, as in scikit-learn's RidgeClassifier, so X and Y are
centred; R2D2 has none. The images are weighted such that all classes weigh the same if they have
unequal shots. R2D2 learns a and a scale of the logits by meta-training; here a is a setting.

Source: Bertinetto, Henriques, Torr, Vedaldi, Meta-learning with differentiable closed-form solvers
(R2D2), arXiv 1805.08136, equation 4.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from fewshot import functional
from fewshot.config import Positive
from fewshot.heads.inductive.linear import Linear, LinearHead
from fewshot.heads.task_head import TaskHeadOptions


class Options(TaskHeadOptions):
    """The settings of `ridge`."""

    penalty: Positive = Field(
        default=1.0, description="Weight of the squared weights beside the sum of squared errors."
    )


class Ridge(LinearHead):
    """Ridge regression on one-hot labels."""

    options_type = Options
    options: Options

    def fit(self, support_TSD: Tensor, labels_TS: Tensor, n_way: int) -> Linear:
        n_support = labels_TS.shape[1]
        one_hot_TSW = functional.one_hot(labels_TS, n_way, support_TSD)
        counts_T1W = one_hot_TSW.sum(1, keepdim=True)
        # Their sum is the number of images.
        weights_TS1 = n_support / n_way * (one_hot_TSW / counts_T1W).sum(2, keepdim=True)
        centre_T1D = (weights_TS1 * support_TSD).mean(1, keepdim=True)
        roots_TS1 = weights_TS1.sqrt()
        x_TSD = roots_TS1 * (support_TSD - centre_T1D)
        y_TSW = roots_TS1 * (one_hot_TSW - 1 / n_way)  # every class has the mean 1 / n_way
        identity_SS = torch.eye(n_support, dtype=x_TSD.dtype, device=x_TSD.device)
        factor_TSS = torch.linalg.cholesky(x_TSD @ x_TSD.mT + self.options.penalty * identity_SS)
        dual_TSW = torch.cholesky_solve(y_TSW, factor_TSS)
        weight_TWD = dual_TSW.mT @ x_TSD
        return Linear(weight_TWD, 1 / n_way - (weight_TWD @ centre_T1D.mT)[..., 0])
