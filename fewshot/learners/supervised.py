"""Supervised learning: a backbone and a head, trained by cross-entropy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from episodes.types import Features, Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed, hold_batch_norm
from fewshot.config import Count
from fewshot.heads import trainable
from fewshot.heads.affine import AffineHead
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Needs


class Options(LearnerOptions):
    """The settings of `Supervised`."""

    head: Literal["linear", "cosine"] = Field(
        default="linear",
        description="Kind of head: dense layers, or a cosine with a learned scale and no hidden "
        "layers.",
    )
    hidden: tuple[Count, ...] = Field(
        default=(), description="Widths of dense layers between the features and the logits."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Probability of dropping an input of each dense layer."
    )
    batch_norm: Literal["trained", "held"] = Field(
        default="trained",
        description="Statistics of batch norm in training: trained for those of each batch, which "
        "change the running ones; held for the running ones that the network starts with.",
    )

    @model_validator(mode="after")
    def _head_is_possible(self) -> Options:
        if self.head == "cosine" and self.hidden:
            raise ValueError("a cosine head takes no hidden layers")
        return self


class HeadLearner(Learner):
    """What `Supervised` and an ensemble of it share: a head that classifies, trained in batches.

    If nothing of the backbone trains (`train.phases: [{trainable: head}]`), it stays in evaluation
    mode.

    Attributes:
        head: features [n, d] -> logits [n, n_way], or [n, m, n_way] of m networks.
        n_way: the number of classes.
    """

    feed = "batches"
    metric_names = ("accuracy_without_views",)
    needs = Needs(metric_images=True)
    head: nn.Module
    n_way: int

    def train(self, mode: bool = True) -> HeadLearner:
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.backbone.parameters()):
            self.backbone.eval()
        return self

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits of the head."""
        return self.head(embed(self.backbone, images))

    def logits_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of the head's logits; labels int64 [n] or float [n, n_way]."""
        return functional.cross_entropy(logits, labels)

    def combine(self, logits: Tensor) -> Tensor:
        """Return one prediction, logits [n, n_way], from the outputs of the head."""
        return logits

    def loss(self, item: Labelled) -> Tensor:
        return self.logits_loss(self.logits(item.images), item.labels)

    def adapt(self, support: Labelled) -> Classifier:
        return lambda images: self.combine(self.logits(images))

    @torch.no_grad()
    def extra_metrics(self, batch: Labelled, shift: Tensor | None = None) -> dict[str, Tensor]:
        """Return whether each image is classified correctly without test-time views, bool [n].

        The result is empty if the backbone has no views, or if the batch consists of features.
        """
        views = self.backbone.views
        if views == "none" or isinstance(batch.images, Features):
            return {}
        self.backbone.views = "none"
        logits = self.combine(self.logits(batch.images))
        self.backbone.views = views
        predicted = (logits if shift is None else logits + shift).argmax(1)
        return {"accuracy_without_views": predicted == batch.labels}


class Supervised(HeadLearner):
    """A backbone and a head, both trained by cross-entropy on the labelled images.

    Args:
        backbone: the network that turns images into features. The map that pretraining fitted to
            its features (`finish`) is removed, since the features will change.
        n_way: number of classes.
        options: all settings at once.
        **settings: single settings; see `Options`.
    """

    options_type = Options
    options: Options

    def __init__(
        self, backbone: Backbone, n_way: int, options: Options | None = None, **settings: Any
    ) -> None:
        super().__init__(backbone, options, **settings)
        backbone.finish = None
        self.n_way = n_way
        if self.options.head == "cosine":
            self.head = trainable.CosineHead(
                backbone.n_features, n_way, dropout=self.options.dropout
            )
        else:
            self.head = trainable.linear(
                backbone.n_features, n_way, self.options.hidden, self.options.dropout
            )

    def train(self, mode: bool = True) -> Supervised:
        super().train(mode)
        if self.options.batch_norm == "held":
            hold_batch_norm(self.backbone)
        return self

    def affine_head(self, support: Labelled) -> AffineHead | None:
        return trainable.as_affine(self.head)
