"""Fine-tuning: a head on a backbone, head first, then the backbone's last stages with smaller rates.

Sources: cosine head, Chen et al., arXiv 1904.04232; head that starts from a fitted probe, or is trained first (LP-FT),
Kumar et al., arXiv 2202.10054; from the prototypes (imprinting), Qi et al., arXiv 1712.07136.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed, hold_batch_norm
from fewshot.config import Positive, Settings
from fewshot.learners import heads, probe
from fewshot.learners.protocol import Classifier, Task


class Options(Settings):
    """head: linear, `unit` (linear on centred features of unit length), or cosine with a learned scale.

    start: what the head's weights are before the first step; `probe`, for a unit head, is a logistic regression on the
    support with `c` as in the learner `probe`; null: the probe for a unit head, the prototypes for others. scale: the
    first scale of the logits, but for the probe's.
    """

    head: Literal["linear", "unit", "cosine"] = "cosine"
    start: Literal["random", "prototypes", "probe"] | None = None
    c: Positive = 1.0
    scale: Positive = 10.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _coherent(self) -> Options:
        if self.start == "probe" and self.head != "unit":
            raise ValueError("a start from the probe needs head: unit")
        return self


class Finetune(nn.Module):
    """Cross-entropy on the support with a linear or cosine head; batch norm keeps its running statistics.

    Which stages train, and when, is the trainer's configuration (`train.phases`, `train.layer_decay`).
    """

    feed = "batches"

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.n_way, self.options = task.n_way, options
        self.start = options.start or ("probe" if options.head == "unit" else "prototypes")
        self.head: nn.Module
        if options.head == "unit":
            self.head = heads.Unit(backbone.n_features, task.n_way, options.dropout)
        elif options.head == "cosine":
            self.head = heads.Cosine(backbone.n_features, task.n_way, options.scale, options.dropout)
        else:
            self.head = heads.linear(backbone.n_features, task.n_way, dropout=options.dropout)

    def train(self, mode: bool = True) -> Finetune:
        super().train(mode)
        hold_batch_norm(self.backbone)
        return self

    @torch.no_grad()
    def prepare(self, support: Labelled) -> None:
        """The head starts as a nearest-prototype classifier or a probe, or stays random."""
        if self.start == "random":
            return
        features = embed(self.backbone, support.images)
        if isinstance(self.head, heads.Unit):
            self.head.centre.copy_(features.mean(0))
        if self.start == "prototypes":
            classes = torch.arange(self.n_way, device=features.device)
            heads.start_at_prototypes(self.head, features, support.labels, classes, self.options.scale)
        elif isinstance(self.head, heads.Unit):
            options = probe.Options(c=self.options.c)
            weight, bias = probe.fit(self.head.unit(features), support.labels, self.n_way, options)
            self.head.linear.weight.copy_(weight)
            self.head.linear.bias.copy_(bias)

    def loss(self, item: Labelled) -> Tensor:
        return functional.cross_entropy(self.head(embed(self.backbone, item.images)), item.labels)

    def adapt(self, support: Labelled) -> Classifier:
        return lambda images: self.head(embed(self.backbone, images))
