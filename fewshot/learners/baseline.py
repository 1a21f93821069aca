"""Baseline and Baseline++: a plain classifier of the base classes, and a new head for every task.

Source: Chen, Liu, Kira, Wang, Huang, A closer look at few-shot classification, arXiv 1904.04232,
section 3.2. Their cosine head learns the length of each class's weights, because it is wrapped in
weight normalisation; ours is a cosine with one scale.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed, hold_batch_norm
from fewshot.heads import trainable
from fewshot.heads.sgd import NewHeads, SgdOptions
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Needs, Task


class Options(SgdOptions, LearnerOptions):
    """The settings of `baseline`."""


class Baseline(Learner):
    """A classifier of the base classes whose features a new head classifies in every task.

    The training is that of any classifier, in batches of all base classes. `adapt` leaves the
    backbone alone and fits a linear head (Baseline) or a cosine head (Baseline++) to the support by
    SGD, with augmentation neither there nor in the original. Without training (`train: null`) the
    features are those of the backbone's own weights.

    Args:
        backbone: the network that turns images into features.
        n_classes: the number of classes of the training.
        options: all settings at once.
        **settings: single settings; see `Options`.
    """

    feed = "batches"
    at_once = 8
    options_type = Options
    needs = Needs(support=True)
    options: Options
    caution = (
        "baseline had no base classes to learn from, so its features are those of the support's "
        "own classes, or of the backbone"
    )

    def __init__(
        self, backbone: Backbone, n_classes: int, options: Options | None = None, **settings: Any
    ) -> None:
        super().__init__(backbone, options, **settings)
        self.head: nn.Module
        if self.options.head == "cosine":
            self.head = trainable.CosineHead(backbone.n_features, n_classes, self.options.scale)
        else:
            self.head = trainable.linear(backbone.n_features, n_classes)

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> Baseline:
        return cls(backbone, task.n_base or task.n_way, options)

    def loss(self, item: Labelled) -> Tensor:
        return functional.cross_entropy(self.head(embed(self.backbone, item.images)), item.labels)

    def adapt(self, support: Labelled) -> Classifier:
        held = hold_batch_norm(self.backbone)  # in training mode; `adapt` writes nothing
        features = embed(self.backbone, support.images)
        for layer in held:
            layer.train()
        n_way = int(support.labels.max()) + 1
        head = NewHeads(self.options, features[None], support.labels[None], n_way)
        return lambda images: head(embed(self.backbone, images)[None])[0]

    def task_logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        return NewHeads(self.options, support_TSD, labels_TS, n_way)(query_TQD)
