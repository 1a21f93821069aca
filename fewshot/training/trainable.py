"""What the trainer requires of a model; every learner derives from `Trainable`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

from torch import Tensor, nn


class StagedBackbone(Protocol):
    """What the trainer reads and sets on a backbone.

    Attributes:
        stages: the parameter names of each stage, first stage first.
        train_side: the side in pixels of the training images, or None for the backbone's own.
    """

    stages: list[list[str]]
    train_side: int | None


class Trainable(nn.Module, ABC):
    """A module that the trainer can train: it has a backbone and computes a loss for each item.

    The stages of the backbone decide what `train.phases` and `train.layer_decay` apply to. All
    other parameters count as the head.
    """

    backbone: StagedBackbone

    @abstractmethod
    def loss(self, item: Any) -> Tensor:
        """Return the training loss of one item of the stream, a differentiable scalar."""

    def on_step(self, progress: float) -> None:
        """Prepare for a step; `progress` is the completed share of the training, in [0, 1)."""
