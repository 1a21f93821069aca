"""Siamese networks: one network sees both images of a pair and learns whether their classes agree.

Sources: contrastive margin, Hadsell, Chopra, LeCun, CVPR 2006; same-different logits, Koch, Zemel, Salakhutdinov, ICML
Deep Learning Workshop 2015; supervised contrastive, Khosla et al., arXiv 2004.11362.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.types import Labelled, Pairs
from fewshot import functional
from fewshot.backbones import Backbone, embed, hold_batch_norm
from fewshot.config import Count, Positive
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Task

PAIRS_AT_ONCE = 1 << 16  # times the embedding's width, in float32


class Options(LearnerOptions):
    """margin: of `contrastive`, between unit vectors, so below 2; temperature: of `supcon`.

    embedding: features of a linear projection for the loss and the similarities; null: the backbone's own.
    centre: subtract the support's mean before similarities are taken; scale: of the logits.
    """

    loss: Literal["contrastive", "logits", "supcon"] = "supcon"
    margin: Positive = 1.0
    temperature: Positive = 0.1
    embedding: Count | None = None
    centre: bool = True
    scale: Positive = 10.0


class Siamese(Learner):
    """Classifies by the mean similarity to the support images of each class, all of them.

    Similarities are cosines of embeddings, or with `logits` the learned logit that two images agree, from the absolute
    difference of their unit embeddings. With one image a class the two images of a positive pair are two augmented
    views of it. Batch norm keeps its running statistics.
    """

    options_type = Options
    feed = "pairs"

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.options = options
        width = options.embedding or backbone.n_features
        self.project: nn.Module = (
            nn.Identity()
            if options.embedding is None
            else nn.Linear(backbone.n_features, width, bias=False)
        )
        self.agree = nn.Linear(width, 1) if options.loss == "logits" else None
        if (
            self.agree is not None
        ):  # equal images agree most: each difference counts against it from the start
            nn.init.constant_(self.agree.weight, -options.scale / width**0.5)

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> Siamese:
        return cls(backbone, task, options)

    def train(self, mode: bool = True) -> Siamese:
        super().train(mode)
        hold_batch_norm(self.backbone)
        return self

    def loss(self, item: Pairs) -> Tensor:
        embedded = F.normalize(self._embed(torch.cat([item.left, item.right])), dim=-1)
        left, right = embedded.chunk(2)
        if self.options.loss == "contrastive":
            return functional.contrastive(left, right, item.same, self.options.margin)
        if self.agree is not None:
            return F.binary_cross_entropy_with_logits(
                self.agree((left - right).abs())[:, 0], item.same
            )
        return functional.supervised_contrastive(
            embedded, item.classes.flatten(), self.options.temperature
        )

    def adapt(self, support: Labelled) -> Classifier:
        raw = self._embed(support.images)
        n_way = int(support.labels.max()) + 1
        centre = (
            raw.mean(0) if self.options.centre and self.agree is None else torch.zeros_like(raw[0])
        )
        known = F.normalize(raw - centre, dim=-1)
        # the mean of cosines to a class's images is the cosine to the mean of their unit vectors, times its length
        means = functional.prototypes(known, support.labels, n_way)

        def classify(images: Tensor) -> Tensor:
            queries = F.normalize(self._embed(images) - centre, dim=-1)
            if self.agree is None:
                return self.options.scale * queries @ means.T
            return functional.prototypes(self._agreement(queries, known).T, support.labels, n_way).T

        return classify

    def _embed(self, images: Tensor) -> Tensor:
        return self.project(embed(self.backbone, images))

    def _agreement(self, queries: Tensor, known: Tensor) -> Tensor:
        """The logit that two images agree, [n_queries, n_support], a bounded number of pairs at once."""
        assert self.agree is not None
        rows = max(1, PAIRS_AT_ONCE // len(known))
        parts = [
            self.agree((part[:, None] - known[None]).abs())[..., 0] for part in queries.split(rows)
        ]
        return torch.cat(parts)
