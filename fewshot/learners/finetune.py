"""Fine-tuning: a head on a backbone, head first, then the backbone's last stages with smaller rates.

Sources: cosine head, Chen et al., arXiv 1904.04232; head first (LP-FT), Kumar et al., arXiv 2202.10054; head that
starts from the prototypes (imprinting), Qi et al., arXiv 1712.07136.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed, hold_batch_norm
from fewshot.config import Positive, Settings
from fewshot.learners import heads
from fewshot.learners.protocol import Classifier, Task


class Options(Settings):
    """start: what the head's weights are before the first step; scale: the first scale of the logits."""

    head: Literal["linear", "cosine"] = "cosine"
    start: Literal["random", "prototypes"] = "prototypes"
    scale: Positive = 10.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Finetune(nn.Module):
    """Cross-entropy on the support with a linear or cosine head; batch norm keeps its running statistics.

    Which stages train, and when, is the trainer's configuration (`train.phases`, `train.layer_decay`).
    """

    feed = "batches"

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.start, self.scale = options.start, options.scale
        self.head: nn.Module
        if options.head == "cosine":
            self.head = heads.Cosine(backbone.n_features, task.n_way, options.scale, options.dropout)
        else:
            self.head = heads.linear(backbone.n_features, task.n_way, dropout=options.dropout)

    def train(self, mode: bool = True) -> Finetune:
        super().train(mode)
        hold_batch_norm(self.backbone)
        return self

    @torch.no_grad()
    def prepare(self, support: Labelled) -> None:
        """The head starts as a nearest-prototype classifier, or stays random.

        Linear: minus the squared distance to the prototypes, in units of the features' variance, times the scale;
        the query's own square is the same for all classes and drops out.
        """
        if self.start == "random":
            return
        last = self.head if isinstance(self.head, heads.Cosine) else self.head[-1]  # type: ignore[index]
        n_way = len(last.weight)
        features = embed(self.backbone, support.images)
        if isinstance(last, heads.Cosine):
            last.weight.copy_(functional.prototypes(F.normalize(features, dim=-1), support.labels, n_way))
            return
        prototypes = functional.prototypes(features, support.labels, n_way)
        variance = (features - features.mean(0)).square().sum(1).mean().clamp(min=1e-12)
        last.weight.copy_(2 * self.scale * prototypes / variance)
        last.bias.copy_(-self.scale * prototypes.square().sum(1) / variance)

    def loss(self, item: Labelled) -> Tensor:
        return functional.cross_entropy(self.head(embed(self.backbone, item.images)), item.labels)

    def adapt(self, support: Labelled) -> Classifier:
        return lambda images: self.head(embed(self.backbone, images))
