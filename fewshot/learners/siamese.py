"""Siamese networks: one network sees both images of a pair and learns whether their classes agree.

Sources: contrastive loss with a margin, Hadsell, Chopra, LeCun, CVPR 2006; logits of "same or
different", Koch, Zemel, Salakhutdinov, ICML Deep Learning Workshop 2015; supervised contrastive
loss, Khosla et al., arXiv 2004.11362.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.types import Labelled, Pairs
from fewshot import functional
from fewshot.backbones import Backbone, embed, hold_batch_norm
from fewshot.config import Count, Positive, added_later
from fewshot.learners.base import Classifier, Learner, LearnerOptions

PAIRS_AT_ONCE = 1 << 16  # their differences take as many rows of the embedding's width, in float32


class Options(LearnerOptions):
    """The settings of `siamese`."""

    loss: Literal["contrastive", "logits", "supcon"] = Field(
        default="supcon",
        description="Loss of pairs: contrastive with a margin, cross-entropy of the logit that "
        "both classes agree, or supervised contrastive over all images of the batch.",
    )
    margin: Positive = Field(
        default=1.0,
        description="Distance, between unit vectors and so below 2, up to which the contrastive "
        "loss separates different classes.",
    )
    temperature: Positive = Field(
        default=0.1, description="Divisor of the cosines in the supervised contrastive loss."
    )
    embedding: Count | None = Field(
        default=None,
        description="Size of a linear projection of the features that the loss and the "
        "similarities use; null uses the features themselves. [dimensions]",
    )
    centre: bool = Field(
        default=True,
        description="Whether the support's mean is subtracted before cosines are taken. "
        "`loss: logits` takes none.",
    )
    compare: Literal["mean", "all"] = Field(
        default="mean",
        description="What a query is compared with: the `mean` of a class's unit embeddings, or "
        "`all` its images, whose similarities are averaged. `loss: logits` always uses all.",
        json_schema_extra=added_later("all"),
    )
    scale: Positive = Field(
        default=10.0,
        description="Factor of the similarities, which gives logits. `loss: logits` learns its "
        "logits, and takes from it only the size of the weights before the training.",
    )


class Siamese(Learner):
    """Siamese networks: the similarity to the support images of each class.

    The similarity is the cosine to the mean of a class's unit embeddings, or the mean of the
    cosines to all of them. With `loss: logits` it is the mean of learned logits that two images
    have the same class, computed from the absolute difference of their unit embeddings.
    With one image per class, the two images of a positive pair are two augmented views of it.
    Batch norm uses its running statistics.

    Args:
        backbone: the network that turns images into features.
        options: all settings at once.
        **settings: single settings; see `Options`.
    """

    feed = "pairs"
    options_type = Options
    options: Options

    def __init__(self, backbone: Backbone, options: Options | None = None, **settings: Any) -> None:
        super().__init__(backbone, options, **settings)
        width = self.options.embedding or backbone.n_features
        self.project: nn.Module = nn.Identity()
        if self.options.embedding is not None:
            self.project = nn.Linear(backbone.n_features, width, bias=False)
        self.agree = nn.Linear(width, 1) if self.options.loss == "logits" else None
        if self.agree is not None:
            # Equal images agree most: every difference lowers the logit from the first step on.
            nn.init.constant_(self.agree.weight, -self.options.scale / width**0.5)

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
            logits = self.agree((left - right).abs())[:, 0]
            return F.binary_cross_entropy_with_logits(logits, item.same)
        return functional.supervised_contrastive(
            embedded, item.classes.flatten(), self.options.temperature
        )

    def adapt(self, support: Labelled) -> Classifier:
        embedded = self._embed(support.images)
        n_way = int(support.labels.max()) + 1
        centre = self._centre(embedded)
        unit_support = F.normalize(embedded - centre, dim=-1)
        means = self._means(unit_support, support.labels, n_way)

        def classify(images: Tensor) -> Tensor:
            queries = F.normalize(self._embed(images) - centre, dim=-1)
            if self.agree is None:
                return self.options.scale * queries @ means.T
            agreement = self._agreement(queries, unit_support)
            return functional.prototypes(agreement.T, support.labels, n_way).T

        return classify

    def task_logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        if self.agree is not None:  # all pairs of one task take much memory
            return super().task_logits(support_TSD, labels_TS, query_TQD, n_way)
        support, queries = self.project(support_TSD), self.project(query_TQD)
        centre = self._centre(support)
        unit_support = F.normalize(support - centre, dim=-1)
        means = self._means(unit_support, labels_TS, n_way)
        return self.options.scale * F.normalize(queries - centre, dim=-1) @ means.mT

    def _centre(self, embedded: Tensor) -> Tensor:
        """Return what is subtracted from the embeddings of a support, [..., 1, d]."""
        if self.options.centre and self.agree is None:
            return embedded.mean(-2, keepdim=True)
        return torch.zeros_like(embedded[..., :1, :])

    def _means(self, unit_support: Tensor, labels: Tensor, n_way: int) -> Tensor:
        """Return what a query is compared with, [..., n_way, d]."""
        # The mean of the cosines to the images of a class is the inner product with the mean of
        # their unit vectors, which is shorter the less alike they are.
        means = functional.prototypes(unit_support, labels, n_way)
        return F.normalize(means, dim=-1) if self.options.compare == "mean" else means

    def _embed(self, images: Tensor) -> Tensor:
        return self.project(embed(self.backbone, images))

    def _agreement(self, queries: Tensor, support: Tensor) -> Tensor:
        """Return the logits that two images agree, [n_queries, n_support], in bounded memory."""
        assert self.agree is not None
        n_rows = max(1, PAIRS_AT_ONCE // len(support))
        parts: list[Tensor] = []
        for rows in queries.split(n_rows):
            differences = (rows[:, None] - support[None]).abs()
            parts.append(self.agree(differences)[..., 0])
        return torch.cat(parts)
