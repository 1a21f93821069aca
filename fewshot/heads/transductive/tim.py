"""TIM: class weights that maximise the information between the queries and their labels.

Each class w has a weight vector c_w, the mean of its support at first. With the logits
l_iw = -(t / 2) |x_i - c_w|^2, their softmax p_iw and the mean m_w of p_jw over the queries, the
weights minimise

    a CE - b H(m) + c (mean over the queries of H(p_j))

by gradient descent (TIM-GD). CE is the cross-entropy of the support and H the entropy; H(m)
prevents the queries from joining a single class. The gradient is written out: for a loss with the
derivatives g_iw with respect to the probabilities, those with respect to the logits are
p_iw (g_iw - sum over v of p_iv g_iv).

Assumption: H(m) is greatest for equal shares of the classes, so that unequal queries pay for being
unequal; alpha-TIM (fewshot/heads/transductive/alpha_tim.py) replaces the entropy.

What differs: CE is the mean over the classes of the means over their images, which for equal shots
is the authors' mean over the images. The authors' Adam divides each coordinate of a gradient by the
root of its own mean square. With `reduced` (the default) each class weight has one mean square for
all coordinates. This does not depend on the basis of the features, so that the coordinates within a
task replace the features (fewshot/heads/transductive/geometry.py), which saves most of the time.
`reduced: false` is the authors' optimiser. The paper's weights, a = c = 0.1 and b = 1, suit
balanced queries; the defaults are equal weights, which three of its authors take for unequal
queries (Veilleux et al., arXiv 2204.11181).

Source: Boudiaf et al., Transductive information maximization for few-shot learning, arXiv
2008.11297, equation 3 and section 2.4; the other settings are those of the authors' program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from fewshot.config import Count, NotNegative, Positive
from fewshot.functional import prototypes
from fewshot.heads.task_head import TaskHead, TaskHeadOptions
from fewshot.heads.transductive.geometry import coordinates, one_hot

MEAN_DECAY, SQUARE_DECAY, OFFSET = 0.9, 0.999, 1e-8  # of Adam, arXiv 1412.6980
TINY = 1e-12  # added to probabilities, as in the authors' program

# Probabilities -> derivative of their entropy with respect to each of them.
Slopes = Callable[[Tensor], Tensor]


class Options(TaskHeadOptions):
    """The settings of `tim`."""

    features: Literal["UN", "L2N", "CL2N"] = Field(
        default="L2N",
        description="How features are prepared; the authors scale them to unit length. The values "
        "are those of `nearest-mean`.",
    )
    distance: Literal["euclidean", "cosine"] = Field(
        default="euclidean",
        description="What compares an image with a class weight: half of minus the squared "
        "Euclidean distance, or the cosine.",
    )
    temperature: Positive = Field(default=15.0, description="Factor t of the logits.")
    support_weight: NotNegative = Field(
        default=1.0, description="Weight a of the cross-entropy of the support."
    )
    marginal_weight: NotNegative = Field(
        default=1.0, description="Weight b of the entropy of the mean prediction."
    )
    conditional_weight: NotNegative = Field(
        default=1.0, description="Weight c of the mean entropy of the predictions."
    )
    lr: Positive = Field(default=1e-4, description="Learning rate of Adam.")
    steps: Count = Field(default=1000, description="Number of steps.")
    reduced: bool = Field(
        default=True,
        description="Scale the gradient of a class weight as a whole, which is faster; false "
        "scales each coordinate for itself, as Adam does.",
    )


def shannon(probabilities: Tensor) -> Tensor:
    """Return the derivatives of the entropy, less a constant that has no effect."""
    return -(probabilities + TINY).log()


class _Tasks(NamedTuple):
    """What the steps have in common; classes come before images, which is faster for few classes.

    Attributes:
        images_TND: features of the support, then of the queries.
        images_TDN: the same, transposed.
        one_hot_TWS: the labels of the support.
        shares_T1N: weight of each image in the loss.
    """

    images_TND: Tensor
    images_TDN: Tensor
    one_hot_TWS: Tensor
    shares_T1N: Tensor


class TIM(TaskHead):
    """Transductive information maximisation by gradient descent on the class weights."""

    transductive = True
    options_type = Options
    options: Options

    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        return self.descend(support_TSD, labels_TS, query_TQD, n_way, shannon)

    def descend(
        self,
        support_TSD: Tensor,
        labels_TS: Tensor,
        query_TQD: Tensor,
        n_way: int,
        slopes: Slopes,
    ) -> Tensor:
        """Return the logits [t, q, n_way] after all steps, for an entropy given by its slopes."""
        n_features = support_TSD.shape[2]
        if self.options.reduced:
            support_TSD, query_TQD = coordinates(support_TSD, query_TQD)
        weights_TWD = prototypes(support_TSD, labels_TS, n_way)
        task = self._task(support_TSD, labels_TS, query_TQD, n_way)
        mean, square = torch.zeros_like(weights_TWD), weights_TWD.new_zeros(())
        for step in range(1, self.options.steps + 1):
            gradient = self._gradient(task, weights_TWD, slopes)
            squares = gradient.square()
            if self.options.reduced:
                squares = squares.sum(-1, keepdim=True) / n_features
            mean = mean.lerp(gradient, 1 - MEAN_DECAY)
            square = SQUARE_DECAY * square + (1 - SQUARE_DECAY) * squares
            root = (square / (1 - SQUARE_DECAY**step)).sqrt() + OFFSET
            rate = self.options.lr / (1 - MEAN_DECAY**step)
            weights_TWD = weights_TWD.addcmul(mean, -rate / root)
        return self._logits(task, weights_TWD)[..., labels_TS.shape[1] :].mT

    def _task(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> _Tasks:
        images_TND = torch.cat([support_TSD, query_TQD], 1)
        if self.options.distance == "cosine":
            images_TND = F.normalize(images_TND, dim=-1)
        one_hot_TWS = one_hot(labels_TS, n_way, images_TND).mT.contiguous()
        shots_T1S = (one_hot_TWS * one_hot_TWS.sum(2, keepdim=True)).sum(1, keepdim=True)
        of_queries_T1Q = torch.full_like(query_TQD[..., 0], 1 / query_TQD.shape[1])[:, None]
        shares_T1N = torch.cat(
            [self.options.support_weight / (n_way * shots_T1S), of_queries_T1Q], 2
        )
        return _Tasks(images_TND, images_TND.mT.contiguous(), one_hot_TWS, shares_T1N)

    def _logits(self, task: _Tasks, weights_TWD: Tensor) -> Tensor:
        """Return the logits [t, w, n], less a term of the image that has no effect."""
        if self.options.distance == "cosine":
            return self.options.temperature * F.normalize(weights_TWD, dim=-1) @ task.images_TDN
        lengths_TW1 = weights_TWD.square().sum(-1, keepdim=True) / 2
        return self.options.temperature * (weights_TWD @ task.images_TDN - lengths_TW1)

    def _gradient(self, task: _Tasks, weights_TWD: Tensor, slopes: Slopes) -> Tensor:
        """Return the gradient of the loss with respect to the class weights, [t, w, d]."""
        options, n_support = self.options, task.one_hot_TWS.shape[2]
        probabilities_TWN = self._logits(task, weights_TWD).softmax(1)
        queries_TWQ = probabilities_TWN[..., n_support:]
        slopes_TWQ = options.conditional_weight * slopes(queries_TWQ)
        slopes_TWQ -= options.marginal_weight * slopes(queries_TWQ.mean(2, True))
        slopes_TWQ -= (queries_TWQ * slopes_TWQ).sum(1, keepdim=True)
        by_logit_TWN = probabilities_TWN  # in its place
        by_logit_TWN[..., n_support:] *= slopes_TWQ
        by_logit_TWN[..., :n_support] -= task.one_hot_TWS
        by_logit_TWN *= options.temperature * task.shares_T1N
        pull_TWD = by_logit_TWN @ task.images_TND
        if options.distance == "euclidean":
            return pull_TWD - by_logit_TWN.sum(2, keepdim=True) * weights_TWD
        lengths_TW1 = weights_TWD.norm(dim=-1, keepdim=True).clamp(min=TINY)
        unit_TWD = weights_TWD / lengths_TW1
        return (pull_TWD - (pull_TWD * unit_TWD).sum(-1, keepdim=True) * unit_TWD) / lengths_TW1
