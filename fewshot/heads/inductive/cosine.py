"""A cosine classifier, fitted to the support by gradient descent (Baseline++).

The logits are cosines times a scale. The weights w of the classes minimise the mean cross-entropy

    loss = mean over i of  -log softmax(scale cos(x_i, w))[y_i]

over the support. Each step follows the gradient and scales the weights to unit length again. They
start at the class means, so they stay combinations of the support images: the descent runs on the
coefficients and on the inner products of the images, whatever the number of features. It is the
descent on the weights themselves, number for number.

What differs: Chen et al. start from random weights and take 100 epochs of SGD in batches of four,
with momentum and weight decay, at a scale of 2. Here there is no randomness: the start is the class
means, every step sees the whole support, and the scale and the learning rate are settings.

Source: Chen, Liu, Kira, Wang, Huang, A closer look at few-shot classification, arXiv 1904.04232,
section 3.2.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from fewshot import functional
from fewshot.config import Positive
from fewshot.config.schema import NaturalNumber
from fewshot.heads.inductive.linear import Linear, LinearHead
from fewshot.heads.task_head import TaskHeadOptions


class Options(TaskHeadOptions):
    """The settings of `cosine`."""

    scale: Positive = Field(default=10.0, description="Factor of the cosines in the logits.")
    steps: NaturalNumber = Field(
        default=100, description="Number of gradient steps; 0 leaves the class means. [steps]"
    )
    lr: Positive = Field(default=0.1, description="Learning rate of these steps.")


class Cosine(LinearHead):
    """A cosine classifier, fitted to the support."""

    options_type = Options
    options: Options

    @property
    def unit_queries(self) -> bool:
        return True

    def fit(self, support_TSD: Tensor, labels_TS: Tensor, n_way: int) -> Linear:
        support_TSD = F.normalize(support_TSD, dim=-1)
        one_hot_TSW = functional.one_hot(labels_TS, n_way, support_TSD)
        coefficients_TSW = self._fit(support_TSD @ support_TSD.mT, one_hot_TSW)
        weight_TWD = self.options.scale * coefficients_TSW.mT @ support_TSD
        return Linear(weight_TWD, torch.zeros_like(weight_TWD[..., 0]))

    def _fit(self, gram_TSS: Tensor, one_hot_TSW: Tensor) -> Tensor:
        """Return the coefficients of the support images in each class's unit weights."""
        scale, rate = self.options.scale, self.options.lr
        coefficients_TSW, scores_TSW = _unit(gram_TSS, one_hot_TSW)
        for _ in range(self.options.steps):
            errors_TSW = (scale * scores_TSW).softmax(2) - one_hot_TSW
            slopes_TSW = scale / one_hot_TSW.shape[1] * errors_TSW
            # The gradient has no component along the unit weights.
            along_T1W = (slopes_TSW * scores_TSW).sum(1, keepdim=True)
            gradient_TSW = slopes_TSW - along_T1W * coefficients_TSW
            coefficients_TSW, scores_TSW = _unit(gram_TSS, coefficients_TSW - rate * gradient_TSW)
        return coefficients_TSW


def _unit(gram_TSS: Tensor, coefficients_TSW: Tensor) -> tuple[Tensor, Tensor]:
    """Return coefficients of weights scaled to unit length, and the images' cosines to them."""
    scores_TSW = gram_TSS @ coefficients_TSW
    squares_T1W = (coefficients_TSW * scores_TSW).sum(1, keepdim=True)
    lengths_T1W = squares_T1W.clamp(min=torch.finfo(squares_T1W.dtype).tiny).sqrt()
    return coefficients_TSW / lengths_T1W, scores_TSW / lengths_T1W
