"""What every learner offers: two methods and one word.

Nothing is inherited from here: a learner is an nn.Module built as `Method(backbone, task, options)` that has
these attributes. It may also offer `prepare(support)`, called once before the first step; `measure(batch)`, what it has
to say of itself on the test set: name -> one value an image, float or bool [n], of which the record holds means;
`adapts_backbone`, true where `adapt` changes (a copy of) the backbone, so that features cannot stand for images;
`needs_images`, true where they cannot for another reason;
`remember(n)`, called with the number of images of its training batches before these begin, and with 0 after them;
`progress(share)`, called before each step with the share of the training that is done; and
`caution`, a sentence that the record carries as a warning, unless it was trained on another data set (`train.base`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor, nn

from episodes.types import Labelled

Classifier = Callable[[Tensor], Tensor]  # images float [n, c, h, w] -> logits [n, n_way], higher is better
Feed = Literal["batches", "episodes", "pairs"]


class Task(NamedTuple):
    """What a learner is built for: the number of ways and each class's superclass, int64 [n_way], where known."""

    n_way: int
    group_of_class: Tensor | None = None


class Learner(Protocol):
    """The interface; `feed` names the stream it trains on, None where it needs no training."""

    feed: Feed | None
    backbone: nn.Module

    def loss(self, item: Any) -> Tensor:
        """A differentiable scalar for one batch, episode or set of pairs."""
        ...

    def adapt(self, support: Labelled) -> Classifier:
        """A classifier for the support's classes; writes nothing on the learner."""
        ...
