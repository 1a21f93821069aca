"""Multinomial logistic regression, fitted to all tasks at once until it has converged.

The weights W and biases b of a task minimise

    |W|^2 / 2  +  C  sum over the support of  -log softmax(W x_i + b)[y_i].

At the minimum W = A^T X with A = C (Y - P), for the support X (centred, one image a row), its
one-hot labels Y and the predicted probabilities P. So the iteration runs on A, which has a row for
each image of the support and knows nothing of the number of features, with K = X X^T:

    A  <-  A - (I + C K / 2)^-1 (A - C (Y - P)),    b  <-  b + 2 mean(Y - P).

The step divides the gradient by Böhning's upper bound of the second derivative, so it never
increases the loss. It is accelerated by Nesterov's momentum, which a task loses when the loss stops
falling (O'Donoghue and Candès).

Two classes are binary logistic regression, whose penalty is |w|^2 / 2 for the one vector w = w_2 -
w_1. At the minimum w_1 = -w_2, so the penalty above is |w|^2 / 4, and half of C gives the same w.

What differs: Tian et al. call scikit-learn for each task; the solution is the same. If the classes
have unequal shots, the logarithms of their numbers are subtracted from the logits, which then
expect all classes equally often.

Sources: Tian, Wang, Krishnan, Tenenbaum, Isola, Rethinking few-shot image classification: a good
embedding is all you need? (RFS), arXiv 2003.11539; Böhning, Multinomial logistic regression
algorithm, Annals of the Institute of Statistical Mathematics 44, 1992; O'Donoghue, Candès, Adaptive
restart for accelerated gradient schemes, arXiv 1204.3982.
"""

from __future__ import annotations

import logging

import torch
from pydantic import Field
from torch import Tensor

from fewshot import functional
from fewshot.config import Positive
from fewshot.heads.inductive.linear import Linear, LinearHead
from fewshot.heads.task_head import TaskHeadOptions

MAX_STEPS = 5000
TOLERANCE = 1e-6  # of the errors of the dual weights, relative to C
CHECKED = 10  # steps between two tests of convergence


class Options(TaskHeadOptions):
    """The settings of `logistic`."""

    c: Positive = Field(
        default=1.0,
        description="Weight C of the cross-entropies beside half the squared weights; two classes "
        "have a single vector of weights, as in scikit-learn.",
    )


class Logistic(LinearHead):
    """Multinomial logistic regression."""

    options_type = Options
    options: Options

    def fit(self, support_TSD: Tensor, labels_TS: Tensor, n_way: int) -> Linear:
        one_hot_TSW = functional.one_hot(labels_TS, n_way, support_TSD)
        centre_T1D = support_TSD.mean(1, keepdim=True)
        support_TSD = support_TSD - centre_T1D
        c = self.options.c / 2 if n_way == 2 else self.options.c
        dual_TSW, bias_TW = minimise(support_TSD @ support_TSD.mT, one_hot_TSW, c)
        weight_TWD = dual_TSW.mT @ support_TSD
        bias_TW = bias_TW - one_hot_TSW.sum(1).log() - (weight_TWD @ centre_T1D.mT)[..., 0]
        return Linear(weight_TWD, bias_TW)


def minimise(gram_TSS: Tensor, one_hot_TSW: Tensor, c: float) -> tuple[Tensor, Tensor]:
    """Return the dual weights [t, s, n_way] and the biases [t, n_way], fitted in float64.

    Args:
        gram_TSS: inner products of the centred support.
        one_hot_TSW: one-hot labels.
        c: weight of the cross-entropies.
    """
    given, gram_TSS, one_hot_TSW = gram_TSS, gram_TSS.double(), one_hot_TSW.double()
    identity_SS = torch.eye(gram_TSS.shape[1], dtype=gram_TSS.dtype, device=gram_TSS.device)
    step_TSS = torch.cholesky_inverse(torch.linalg.cholesky(identity_SS + c / 2 * gram_TSS))
    # The point (A, K A, b) before and after a step, and the one ahead of it from which it is taken.
    dual = ahead_dual = torch.zeros_like(one_hot_TSW)
    scores = ahead_scores = dual
    bias = ahead_bias = dual[:, :1]
    momentum_T11 = torch.ones_like(dual[:, :1, :1])
    # The solutions of the tasks that have converged; how long others take does not change them.
    converged_T11 = torch.zeros_like(momentum_T11, dtype=torch.bool)
    solved_dual, solved_bias = dual, bias
    for number in range(MAX_STEPS):
        residual_TSW = one_hot_TSW - (ahead_scores + ahead_bias).softmax(2)
        gradient_TSW = ahead_dual - c * residual_TSW
        slope_T1W = residual_TSW.mean(1, keepdim=True)
        if number % CHECKED == 0:
            solved_dual = torch.where(converged_T11, solved_dual, ahead_dual)
            solved_bias = torch.where(converged_T11, solved_bias, ahead_bias)
            errors_TNW = torch.cat([gradient_TSW / c, slope_T1W], 1).abs()
            converged_T11 |= errors_TNW.amax((1, 2), keepdim=True) < TOLERANCE
            if converged_T11.all():
                break
        new_dual = ahead_dual - step_TSS @ gradient_TSW
        new_scores, new_bias = gram_TSS @ new_dual, ahead_bias + 2 * slope_T1W
        ascent_T11 = (gradient_TSW * (new_scores - scores)).sum((1, 2), keepdim=True)
        ascent_T11 -= c * len(identity_SS) * (slope_T1W * (new_bias - bias)).sum(2, keepdim=True)
        momentum_T11 = torch.where(ascent_T11 > 0, 1.0, momentum_T11)
        next_T11 = (1 + (1 + 4 * momentum_T11.square()).sqrt()) / 2
        rate_T11 = (momentum_T11 - 1) / next_T11
        ahead_dual = new_dual + rate_T11 * (new_dual - dual)
        ahead_scores = new_scores + rate_T11 * (new_scores - scores)
        ahead_bias = new_bias + rate_T11 * (new_bias - bias)
        dual, scores, bias, momentum_T11 = new_dual, new_scores, new_bias, next_T11
    else:
        logging.getLogger("fewshot").warning(
            f"logistic regression did not converge in {MAX_STEPS} steps: use a smaller head.c, or "
            "head.features=L2N"
        )
    return solved_dual.to(given), solved_bias[:, 0].to(given)
