"""Learners that hold another learner and change how it trains."""

from __future__ import annotations

from typing import Generic, TypeVar

from torch import Tensor

from episodes.types import Labelled
from fewshot.learners.base import Classifier, Learner

Held = TypeVar("Held", bound=Learner)


class Variation(Learner, Generic[Held]):
    """A learner that holds another one, changes its loss, and leaves the rest to it.

    The modules of the held learner are registered here under their own names. So the names of its
    parameters, which `train.lr_multipliers` and saved weights refer to, do not change.

    Args:
        learner: the learner to hold; its modules are shared, not copied.
        images: whether the variation needs images and not features.
    """

    feed = "batches"

    def __init__(self, learner: Held, *, images: bool = False) -> None:
        super().__init__(learner.backbone)
        for name, module in learner.named_children():
            self.add_module(name, module)
        self._held = (learner,)  # in a tuple, which torch does not search for modules
        self.needs = learner.needs._replace(images=images or learner.needs.images)
        self.metric_names = learner.metric_names

    @property
    def learner(self) -> Held:
        """The held learner."""
        return self._held[0]

    def train(self, mode: bool = True) -> Variation[Held]:
        super().train(mode)
        self.learner.train(mode)
        return self

    def adapt(self, support: Labelled) -> Classifier:
        return self.learner.adapt(support)

    def on_train_start(self, n_images: int) -> None:
        self.learner.on_train_start(n_images)

    def on_step(self, progress: float) -> None:
        self.learner.on_step(progress)

    def on_train_end(self) -> None:
        self.learner.on_train_end()

    def extra_metrics(self, batch: Labelled, shift: Tensor | None = None) -> dict[str, Tensor]:
        return self.learner.extra_metrics(batch, shift)
