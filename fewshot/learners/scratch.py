"""A network trained from random weights on whatever labels there are: the baseline of every study."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed
from fewshot.config import Count, NotNegative, Settings
from fewshot.learners import heads
from fewshot.learners.protocol import Classifier, Task


class Options(Settings):
    """hidden: widths of dense layers between the features and the logits; dropout: before every dense layer.

    head: linear, or a cosine with a learnable scale (then without hidden layers).
    rotation: weight of a second loss, which of four quarter turns a quarter of the batch was given (Mangla et al.,
    S2M2, arXiv 1907.12087; Gidaris et al., arXiv 1803.07728).
    """

    head: Literal["linear", "cosine"] = "linear"
    hidden: tuple[Count, ...] = ()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rotation: NotNegative = 0.0

    @model_validator(mode="after")
    def _coherent(self) -> Options:
        if self.head == "cosine" and self.hidden:
            raise ValueError("a cosine head takes no hidden layers")
        return self


class Scratch(nn.Module):
    """Backbone and linear head, all trained by cross-entropy (studies: H1, H2, H4, E1-E4, A1-A5, K1, K2, K6).

    A backbone of which nothing trains (`train.phases: [{trainable: head}]`, as in H2) works in evaluation mode.
    """

    feed = "batches"

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.rotation = options.rotation
        self.head: nn.Module
        if options.head == "cosine":
            self.head = heads.Cosine(backbone.n_features, task.n_way, dropout=options.dropout)
        else:
            self.head = heads.linear(backbone.n_features, task.n_way, options.hidden, options.dropout)
        self.turn_head = nn.Linear(backbone.n_features, 4) if options.rotation else None

    def train(self, mode: bool = True) -> Scratch:
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.backbone.parameters()):
            self.backbone.eval()
        return self

    def loss(self, item: Labelled) -> Tensor:
        if self.turn_head is None or item.images.ndim == 2:  # features have no quarter turns
            return functional.cross_entropy(self.head(embed(self.backbone, item.images)), item.labels)
        n = len(item.images)
        turned, turns = functional.quarter_turns(item.images[: -(-n // 4)])
        features = self.backbone(torch.cat([item.images, turned]))
        supervised = functional.cross_entropy(self.head(features[:n]), item.labels)
        return supervised + self.rotation * functional.cross_entropy(self.turn_head(features[n:]), turns)

    def adapt(self, support: Labelled) -> Classifier:
        return lambda images: self.head(embed(self.backbone, images))
