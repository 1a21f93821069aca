"""A network trained from random weights on whatever labels there are: the baseline of every study."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed
from fewshot.config import Count, Settings
from fewshot.learners import heads
from fewshot.learners.protocol import Classifier, Task


class Options(Settings):
    """hidden: widths of dense layers between the features and the logits; dropout: before every dense layer."""

    hidden: tuple[Count, ...] = ()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Scratch(nn.Module):
    """Backbone and linear head, all trained by cross-entropy (studies: H1, H4, E1-E4, A1-A5, K1, K2, K6)."""

    feed = "batches"

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = heads.linear(backbone.n_features, task.n_way, options.hidden, options.dropout)

    def loss(self, item: Labelled) -> Tensor:
        return functional.cross_entropy(self.head(self.backbone(item.images)), item.labels)

    def adapt(self, support: Labelled) -> Classifier:
        return lambda images: self.head(embed(self.backbone, images))
