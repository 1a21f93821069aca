"""What learners share that train on episodes and compare queries with the support's features."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from torch import Tensor

from episodes.types import Episode, Labelled
from fewshot import functional
from fewshot.backbones import hold_batch_norm
from fewshot.learners.base import Classifier, Learner


class MetricLearner(Learner):
    """A learner whose loss on an episode is the cross-entropy of what it does in a task.

    Batch norm uses its running statistics. A concrete learner implements `_classifier`.
    """

    feed = "episodes"

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        hold_batch_norm(self.backbone)
        return self

    def loss(self, item: Episode) -> Tensor:
        classify = self._classifier(item.support, len(item.classes))
        return functional.cross_entropy(classify(item.query.images), item.query.labels)

    def adapt(self, support: Labelled) -> Classifier:
        return self._classifier(support, int(support.labels.max()) + 1)

    @abstractmethod
    def _classifier(self, support: Labelled, n_way: int) -> Classifier:
        """Return a classifier of `n_way` classes, differentiable in the learner's weights."""
