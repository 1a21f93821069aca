"""The interface of every learner: what the trainer, the evaluation and the runs may rely on.

A concrete learner is one file that derives from `Learner`, implements `loss` and `adapt`, and is final. Nothing is
discovered: a hook that is not declared here does not exist.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from episodes.types import Episode, Labelled, Pairs

if TYPE_CHECKING:
    from fewshot.backbones import Backbone

Classifier = Callable[
    [Tensor], Tensor
]  # images float [n, c, h, w] -> logits [n, n_way], higher is better
Feed = Literal["batches", "episodes", "pairs"]


class Task(NamedTuple):
    """What a learner is built for: the number of ways and each class's superclass, int64 [n_way], where known."""

    n_way: int
    group_of_class: Tensor | None = None


class Needs(NamedTuple):
    """What a learner requires of its input.

    Args:
        images: it needs the images themselves, so cached features cannot replace them.
        support: `adapt` reads the whole support set, although a trained head classifies.
        metric_images: `extra_metrics` reads images, so the evaluation must not replace them by features.
    """

    images: bool = False
    support: bool = False
    metric_images: bool = False


class Learner(nn.Module, ABC):
    """A way of learning from labelled images.

    Attributes:
        feed: the stream that it trains on, or None if it needs no training.
        needs: see `Needs`.
        metric_names: names of the values that `extra_metrics` returns.
        caution: a sentence for the record's warnings, unless the learner was meta-trained on another data set.
        backbone: the network that turns images into features.
    """

    feed: ClassVar[Feed | None]
    needs: Needs = Needs()
    metric_names: tuple[str, ...] = ()
    caution: str | None = None
    backbone: Backbone

    @abstractmethod
    def loss(self, item: Any) -> Tensor:
        """Return the training loss of one item of the feed, a differentiable scalar."""

    @abstractmethod
    def adapt(self, support: Labelled) -> Classifier:
        """Return a classifier for the classes of the support set; write nothing on the learner."""

    def prepare(self, support: Labelled) -> None:
        """Initialise from the support set; called once before the first step, in evaluation mode."""

    def on_train_start(self, n_images: int) -> None:
        """Get ready for training batches that index a pool of `n_images` images."""

    def on_step(self, progress: float) -> None:
        """Take note that a step begins; `progress` is the share of the training that is done, in [0, 1)."""

    def on_train_end(self) -> None:
        """Free what only the training needed."""

    def extra_metrics(self, batch: Labelled) -> dict[str, Tensor]:
        """Return one value for each image, [n], under each of `metric_names`; the record holds their means."""
        return {}


Item = Labelled | Episode | Pairs
