"""The inner steps of ANIL for many tasks at once, with the gradient of the head written out.

The head of a task has the logits c (W x + b) for features x, weights W, biases b and a scale c. For
the support X (one image a row), its one-hot labels Y and the predicted probabilities P, a step is

    W  <-  W - r c / s (P - Y)^T X,    b  <-  b - r c / s (P - Y)^T 1,

with the learning rate r and s images. So W changes by a combination of the support images, and the
steps need only the inner products of these images.

Source: Raghu, Raghu, Bengio, Vinyals, Rapid learning or feature reuse?, arXiv 1909.09157.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fewshot import functional
from fewshot.heads.inductive.linear import Linear


def start(
    head: Literal["zero", "prototypes", "learned"] | nn.Linear,
    support_TSD: Tensor,
    labels_TS: Tensor,
    n_way: int,
) -> Linear:
    """Return the heads before the inner steps; see `fewshot.learners.maml.Options.head`.

    A learned head is one for all tasks, with a leading dimension of one.

    Args:
        head: how they are made, or the learned head that all tasks start from.
        support_TSD: features of the support as the head sees them, float [t, s, d].
        labels_TS: labels within the task, int64 [t, s].
        n_way: the number of classes.
    """
    if isinstance(head, nn.Linear):
        return Linear(head.weight[None], head.bias[None])
    if head == "prototypes":
        prototypes_TWD = functional.prototypes(support_TSD, labels_TS, n_way)
        return Linear(prototypes_TWD, -prototypes_TWD.square().sum(2) / 2)
    zeros_TWD = torch.zeros_like(support_TSD[:, :1]).repeat(1, n_way, 1)
    return Linear(zeros_TWD, zeros_TWD[..., 0])


def adapt(
    heads: Linear, support_TSD: Tensor, labels_TS: Tensor, scale: Tensor, lr: float, steps: int
) -> Linear:
    """Return the heads after some steps of gradient descent on the cross-entropy of the support.

    Args:
        heads: the heads before the steps.
        support_TSD: features of the support as the head sees them, float [t, s, d].
        labels_TS: labels within the task, int64 [t, s].
        scale: factor of the logits, a tensor without dimensions.
        lr: learning rate.
        steps: number of steps.
    """
    weight_TWD, bias_TW = heads
    gram_TSS = support_TSD @ support_TSD.mT
    scores_TSW = support_TSD @ weight_TWD.mT + bias_TW[:, None]
    one_hot_TSW = functional.one_hot(labels_TS, bias_TW.shape[1], scores_TSW)
    changes_TSW = scores_TSW.new_zeros(scores_TSW.shape)
    for _ in range(steps):
        errors_TSW = (scale * scores_TSW).softmax(2) - one_hot_TSW
        step_TSW = lr * scale / labels_TS.shape[1] * errors_TSW
        changes_TSW = changes_TSW - step_TSW
        scores_TSW = scores_TSW - gram_TSS @ step_TSW - step_TSW.sum(1, keepdim=True)
    return Linear(weight_TWD + changes_TSW.mT @ support_TSD, bias_TW + changes_TSW.sum(1))


def with_constant_steps(start: Linear, adapted: Linear) -> Linear:
    """Return adapted heads whose gradients go to the start alone, as in first-order MAML."""
    return Linear(
        *(before + (after - before).detach() for before, after in zip(start, adapted, strict=True))
    )
