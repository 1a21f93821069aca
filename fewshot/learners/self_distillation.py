"""Self-distillation: the network's own earlier predictions of an image become part of its target.

Source: Kim et al., Self-knowledge distillation with progressive refinement of targets, arXiv
2006.12000; the mean over many epochs, Laine and Aila, Temporal ensembling, arXiv 1610.02242.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from episodes.types import Labelled
from fewshot import distributed, functional
from fewshot.learners.supervised import HeadLearner
from fewshot.learners.variation import Variation

NEWEST_SHARE = 0.5  # of the latest prediction in the running mean of all predictions


class SelfDistillation(Variation[HeadLearner]):
    """A supervised learner whose targets mix the labels with its earlier predictions.

    With alternating flips, the running mean covers both mirror images, so either one learns what
    both predict together.

    Args:
        learner: a supervised learner or an ensemble, which remembers its mean prediction.
        share: share of the earlier predictions in the target at the end of the training; it grows
            from 0 in proportion to the completed steps.
    """

    def __init__(self, learner: HeadLearner, share: float) -> None:
        super().__init__(learner)
        self.share = share
        self.memory = _Memory()

    def on_train_start(self, n_images: int) -> None:
        super().on_train_start(n_images)
        self.memory.past = torch.zeros(
            n_images, self.learner.n_way, device=self.memory.progress.device
        )

    def on_train_end(self) -> None:
        super().on_train_end()
        self.memory.past = None

    def on_step(self, progress: float) -> None:
        super().on_step(progress)
        self.memory.progress.fill_(progress)

    def loss(self, item: Labelled) -> Tensor:
        logits = self.learner.logits(item.images)
        past, indices = self.memory.past, item.pool_indices
        if past is None or indices is None:
            return self.learner.logits_loss(logits, item.labels)
        share = self.share * self.memory.progress
        targets = functional.recall_targets(item.labels, past[indices], share)
        self._remember(past, indices, self.learner.combine(logits.detach().float()).softmax(1))
        return self.learner.logits_loss(logits, targets)

    def _remember(self, past: Tensor, indices: Tensor, predictions: Tensor) -> None:
        """Take the predictions of all processes into the running means."""
        indices, predictions = (
            distributed.gather_rows(indices),
            distributed.gather_rows(predictions),
        )
        before = past[indices]
        newest_share = torch.where(before.sum(1, keepdim=True) > 0, NEWEST_SHARE, 1.0)
        past[indices] = torch.lerp(before, predictions, newest_share)


class _Memory(nn.Module):
    """What the learner remembers while it trains; a module, so that checkpoints hold it.

    Attributes:
        past: running mean of the class probabilities of each training image, [n_images, n_way];
            zeros before the first prediction, None outside of training.
        progress: completed share of the training.
    """

    past: Tensor | None
    progress: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("past", None)
        self.register_buffer("progress", torch.zeros(()), persistent=False)
