"""Linear and cosine heads that are fitted to the supports of many tasks at once by plain SGD.

This is how Baseline and Baseline++ adapt: a new head is trained on frozen features. The steps are
written out by hand, with the gradients in closed form, so that one step is one step of all tasks.

Source: Chen et al., A closer look at few-shot classification, arXiv 1904.04232, section 3.2; the
constants are those of its own code (wyharveychen/CloserLookFewShot, methods/baselinefinetune.py).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from episodes.rng import generator
from fewshot.config import Count, NotNegative, Positive, Settings, Share


class SgdOptions(Settings):
    """The settings of the new head and of its SGD."""

    head: Literal["linear", "cosine"] = Field(
        default="linear",
        description="Kind of head: `linear` (Baseline) or `cosine` (Baseline++), of the training "
        "and of every task.",
    )
    scale: Positive = Field(
        default=10.0,
        description="Factor of the cosines; it is learned in the training and fixed in a task.",
    )
    adapt_epochs: Count = Field(
        default=100, description="Length of the fitting of a new head. [passes over the support]"
    )
    adapt_batch: Count = Field(default=4, description="Batch of that fitting. [images]")
    adapt_lr: Positive = Field(default=0.01, description="Learning rate of that fitting.")
    adapt_momentum: NotNegative = Field(default=0.9, description="Momentum of that fitting.")
    adapt_dampening: Share | Literal[0] = Field(
        default=0.9, description="Share of a gradient that its momentum leaves out."
    )
    adapt_decay: NotNegative = Field(default=0.001, description="Weight decay of that fitting.")


class NewHeads:
    """One new head for each of many tasks.

    The random initial weights and the order of the images are the same for all tasks, and the order
    of the support has no influence: images are sorted by class and by a random projection of their
    features before they are shuffled.

    Args:
        options: the settings.
        support_TSD: features of the support, float [t, s, d].
        labels_TS: labels within the task, int64 [t, s].
        n_way: the number of classes.
    """

    def __init__(
        self, options: SgdOptions, support_TSD: Tensor, labels_TS: Tensor, n_way: int
    ) -> None:
        self.options = options
        n_tasks, _, width = support_TSD.shape
        device = support_TSD.device
        bound = 1 / math.sqrt(width)  # of torch's linear layers
        initial = torch.rand(n_way, width + 1, generator=generator(0, "new-head"))
        initial = (initial.mul(2).sub(1) * bound).to(device).expand(n_tasks, -1, -1)
        self.weight_TWD = initial[..., :width].clone()
        self.bias_TW = initial[..., width].clone()
        if self._is_cosine:
            support_TSD, self.bias_TW = F.normalize(support_TSD, dim=-1), self.bias_TW * 0
        with torch.no_grad():
            self._fit(*_sorted(support_TSD.detach(), labels_TS), n_way)

    def __call__(self, query_TQD: Tensor) -> Tensor:
        """Return the logits of features [t, q, d], float [t, q, n_way]."""
        if self._is_cosine:
            cosines = F.normalize(query_TQD, dim=-1) @ F.normalize(self.weight_TWD, dim=-1).mT
            return self.options.scale * cosines
        return query_TQD @ self.weight_TWD.mT + self.bias_TW[:, None]

    @property
    def _is_cosine(self) -> bool:
        return self.options.head == "cosine"

    def _fit(self, support_TSD: Tensor, labels_TS: Tensor, n_way: int) -> None:
        """Take the steps of SGD; in the names, B is the batch of a step."""
        options, n_images = self.options, support_TSD.shape[1]
        targets_TSW = F.one_hot(labels_TS, n_way).to(support_TSD.dtype)
        momentum_TWD, momentum_TW = torch.zeros_like(self.weight_TWD), self.bias_TW * 0
        fresh = 1.0  # torch's SGD does not dampen the first gradient
        for order in _orders(options.adapt_epochs, n_images).to(support_TSD.device):
            for batch in order.split(options.adapt_batch):
                gradient_TWD, gradient_TW = self._gradients(
                    support_TSD[:, batch], targets_TSW[:, batch]
                )
                gradient_TWD.add_(self.weight_TWD, alpha=options.adapt_decay)
                momentum_TWD.mul_(options.adapt_momentum).add_(gradient_TWD, alpha=fresh)
                self.weight_TWD.sub_(momentum_TWD, alpha=options.adapt_lr)
                if not self._is_cosine:
                    gradient_TW.add_(self.bias_TW, alpha=options.adapt_decay)
                    momentum_TW.mul_(options.adapt_momentum).add_(gradient_TW, alpha=fresh)
                    self.bias_TW.sub_(momentum_TW, alpha=options.adapt_lr)
                fresh = 1 - options.adapt_dampening

    def _gradients(self, batch_TBD: Tensor, targets_TBW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the mean cross-entropy in the weights and in the biases."""
        if not self._is_cosine:
            logits_TBW = batch_TBD @ self.weight_TWD.mT + self.bias_TW[:, None]
            error_TBW = (logits_TBW.softmax(-1) - targets_TBW) / batch_TBD.shape[1]
            return error_TBW.mT @ batch_TBD, error_TBW.sum(1)
        norm_TW1 = self.weight_TWD.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        unit_TWD = self.weight_TWD / norm_TW1
        logits_TBW = self.options.scale * (batch_TBD @ unit_TWD.mT)
        error_TBW = (logits_TBW.softmax(-1) - targets_TBW) / batch_TBD.shape[1]
        along_TWD = self.options.scale * (error_TBW.mT @ batch_TBD)  # the gradient in `unit_TWD`
        radial_TW1 = (along_TWD * unit_TWD).sum(-1, keepdim=True)
        return (along_TWD - radial_TW1 * unit_TWD) / norm_TW1, error_TBW.sum(1)


def _orders(n_epochs: int, n_images: int) -> Tensor:
    """Return the order of the images in each epoch, int64 [n_epochs, n_images]."""
    orders = [
        torch.randperm(n_images, generator=generator(0, "new-head-order", epoch))
        for epoch in range(n_epochs)
    ]
    return torch.stack(orders)


def _sorted(support_TSD: Tensor, labels_TS: Tensor) -> tuple[Tensor, Tensor]:
    """Return the support of each task by class, and within a class by a random projection."""
    direction_D = torch.randn(support_TSD.shape[-1], generator=generator(0, "new-head-sort"))
    by_value = (support_TSD @ direction_D.to(support_TSD)).argsort(1)
    order = by_value.gather(1, labels_TS.gather(1, by_value).argsort(dim=1, stable=True))
    rows = torch.arange(len(order), device=order.device)[:, None]
    return support_TSD[rows, order], labels_TS[rows, order]
