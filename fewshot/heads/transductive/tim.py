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
all coordinates. The class weights then are combinations of the images of the task, and inner
products of images replace features, which saves most of the time. `reduced: false` is the authors'
optimiser. The paper's weights, a = c = 0.1 and b = 1, suit
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
from fewshot.functional import one_hot
from fewshot.heads.task_head import TaskHead, TaskHeadOptions

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
        one_hot_TWS: the labels of the support.
        shares_T1N: weight of each image in the loss, times the temperature.
        first_TWN: coefficients of the images in the class weights before the first step.
    """

    images_TND: Tensor
    one_hot_TWS: Tensor
    shares_T1N: Tensor
    first_TWN: Tensor


class TIM(TaskHead):
    """Transductive information maximisation by gradient descent on the class weights."""

    transductive = True
    at_once = 8
    options_type = Options
    options: Options

    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        tasks = self._tasks(support_TSD, labels_TS, query_TQD, n_way)
        return self.descend(tasks, shannon)

    def descend(self, tasks: _Tasks, slopes: Slopes) -> Tensor:
        """Return the logits [t, q, n_way] after all steps, for an entropy given by its slopes."""
        descend = self._by_coefficients if self.options.reduced else self._by_coordinates
        return descend(tasks, slopes)[..., tasks.one_hot_TWS.shape[2] :].mT

    def _tasks(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> _Tasks:
        images_TND = torch.cat([support_TSD, query_TQD], 1)
        one_hot_TWS = one_hot(labels_TS, n_way, images_TND).mT.contiguous()
        means_TWS = one_hot_TWS / one_hot_TWS.sum(2, keepdim=True)
        of_queries_T1Q = torch.full_like(query_TQD[..., 0], 1 / query_TQD.shape[1])[:, None]
        of_support_T1S = self.options.support_weight / n_way * means_TWS.sum(1, keepdim=True)
        shares_T1N = self.options.temperature * torch.cat([of_support_T1S, of_queries_T1Q], 2)
        if self.options.distance == "cosine":
            lengths_TN1 = images_TND.norm(dim=-1, keepdim=True).clamp(min=TINY)
            images_TND = images_TND / lengths_TN1
            means_TWS = means_TWS * lengths_TN1[:, : labels_TS.shape[1]].mT
        first_TWN = F.pad(means_TWS, (0, query_TQD.shape[1]))
        return _Tasks(images_TND, one_hot_TWS, shares_T1N, first_TWN)

    def _by_coefficients(self, tasks: _Tasks, slopes: Slopes) -> Tensor:
        """Return the logits [t, w, n]; the state is the coefficients of the images.

        Each state has a second form, its inner products with the images, so that a step needs a
        single product of matrices.
        """
        products_TNN = tasks.images_TND @ tasks.images_TND.mT
        weights_TWN, n_features = tasks.first_TWN, tasks.images_TND.shape[2]
        inner_TWN = weights_TWN @ products_TNN
        mean_TWN, mean_inner_TWN = torch.zeros_like(weights_TWN), torch.zeros_like(weights_TWN)
        square_TW1 = weights_TWN.new_zeros(())
        for step in range(1, self.options.steps + 1):
            squares_TW1 = (weights_TWN * inner_TWN).sum(2, keepdim=True)
            pulls_TWN = self._pulls(tasks, self._scores(inner_TWN, squares_TW1), slopes)
            factors, scale = self._own_part(pulls_TWN, inner_TWN, squares_TW1)
            gradient_TWN = scale * (pulls_TWN - factors * weights_TWN)
            gradient_inner_TWN = scale * (pulls_TWN @ products_TNN - factors * inner_TWN)
            lengths_TW1 = (gradient_TWN * gradient_inner_TWN).sum(2, keepdim=True)
            mean_TWN = mean_TWN.lerp(gradient_TWN, 1 - MEAN_DECAY)
            mean_inner_TWN = mean_inner_TWN.lerp(gradient_inner_TWN, 1 - MEAN_DECAY)
            square_TW1, rate = self._rate(step, square_TW1, lengths_TW1 / n_features)
            weights_TWN = weights_TWN.addcmul(mean_TWN, rate)
            inner_TWN = inner_TWN.addcmul(mean_inner_TWN, rate)
        return self._scores(inner_TWN, (weights_TWN * inner_TWN).sum(2, keepdim=True))

    def _by_coordinates(self, tasks: _Tasks, slopes: Slopes) -> Tensor:
        """Return the logits [t, w, n]; the state is the class weights themselves, as in Adam."""
        weights_TWD = tasks.first_TWN @ tasks.images_TND
        mean_TWD, square_TWD = torch.zeros_like(weights_TWD), torch.zeros_like(weights_TWD)
        for step in range(1, self.options.steps + 1):
            inner_TWN = weights_TWD @ tasks.images_TND.mT
            squares_TW1 = weights_TWD.square().sum(2, keepdim=True)
            pulls_TWN = self._pulls(tasks, self._scores(inner_TWN, squares_TW1), slopes)
            factors, scale = self._own_part(pulls_TWN, inner_TWN, squares_TW1)
            gradient_TWD = scale * (pulls_TWN @ tasks.images_TND - factors * weights_TWD)
            mean_TWD = mean_TWD.lerp(gradient_TWD, 1 - MEAN_DECAY)
            square_TWD, rate = self._rate(step, square_TWD, gradient_TWD.square())
            weights_TWD = weights_TWD.addcmul(mean_TWD, rate)
        inner_TWN = weights_TWD @ tasks.images_TND.mT
        return self._scores(inner_TWN, weights_TWD.square().sum(2, keepdim=True))

    def _scores(self, inner_TWN: Tensor, squares_TW1: Tensor) -> Tensor:
        """Return the logits [t, w, n], less a term of the image that has no effect.

        Args:
            inner_TWN: inner products of the class weights and the images.
            squares_TW1: squared lengths of the class weights.
        """
        if self.options.distance == "cosine":
            return self.options.temperature / squares_TW1.clamp(min=TINY).sqrt() * inner_TWN
        return self.options.temperature * (inner_TWN - squares_TW1 / 2)

    def _pulls(self, tasks: _Tasks, logits_TWN: Tensor, slopes: Slopes) -> Tensor:
        """Return the derivatives of the loss by the logits, times the temperature, [t, w, n]."""
        n_support = tasks.one_hot_TWS.shape[2]
        pulls_TWN = logits_TWN.softmax(1)
        queries_TWQ = pulls_TWN[..., n_support:]
        slopes_TWQ = self.options.conditional_weight * slopes(queries_TWQ)
        slopes_TWQ -= self.options.marginal_weight * slopes(queries_TWQ.mean(2, True))
        slopes_TWQ -= (queries_TWQ * slopes_TWQ).sum(1, keepdim=True)
        queries_TWQ *= slopes_TWQ  # in pulls_TWN
        pulls_TWN[..., :n_support] -= tasks.one_hot_TWS
        return pulls_TWN.mul_(tasks.shares_T1N)

    def _own_part(
        self, pulls_TWN: Tensor, inner_TWN: Tensor, squares_TW1: Tensor
    ) -> tuple[Tensor, Tensor | float]:
        """Return f and g of the gradient g (sum over images of pull times image - f weight)."""
        if self.options.distance == "euclidean":
            return pulls_TWN.sum(2, keepdim=True), 1.0
        squares_TW1 = squares_TW1.clamp(min=TINY)
        return (pulls_TWN * inner_TWN).sum(2, keepdim=True) / squares_TW1, squares_TW1.rsqrt()

    def _rate(self, step: int, square: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
        """Return Adam's mean square after a step, and minus the rate of that step."""
        square = SQUARE_DECAY * square + (1 - SQUARE_DECAY) * new
        root = (square / (1 - SQUARE_DECAY**step)).clamp(min=0).sqrt() + OFFSET
        return square, -self.options.lr / (1 - MEAN_DECAY**step) / root
