"""Prototypical networks (Snell, Swersky, Zemel, arXiv 1703.05175)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from episodes.types import Episode, Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed, hold_batch_norm
from fewshot.config import Count, Positive
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Task


class Options(LearnerOptions):
    """shots and queries: of a training episode, at most; the support's smaller classes give what they have."""

    distance: Literal["euclidean", "cosine"] = "euclidean"
    scale: Positive = 10.0
    shots: Count = 8
    queries: Count = 8


class ProtoNet(Learner):
    """Classifies by the nearest class mean; trained on episodes cut from the support set.

    Distances are squared Euclidean, divided by the number of features so that softmax does not saturate in
    high dimension, or cosines; both are multiplied by a learned scale. Batch norm keeps its running statistics.
    Without training (`train: null`) it is the nearest class mean of the backbone's features as they are.
    """

    options_type = Options
    feed = "episodes"

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.n_way = task.n_way
        self.distance = options.distance
        self.log_scale = nn.Parameter(torch.tensor(math.log(options.scale)))

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> ProtoNet:
        return cls(backbone, task, options)

    def train(self, mode: bool = True) -> ProtoNet:
        super().train(mode)
        hold_batch_norm(self.backbone)
        return self

    def loss(self, item: Episode) -> Tensor:
        classify = self._classifier(item.support, len(item.classes))
        return functional.cross_entropy(classify(item.query.images), item.query.labels)

    def adapt(self, support: Labelled) -> Classifier:
        return self._classifier(support, int(support.labels.max()) + 1)

    def _classifier(self, support: Labelled, n_way: int) -> Classifier:
        features = embed(self.backbone, support.images)
        prototypes = functional.prototypes(features, support.labels, n_way)

        def classify(images: Tensor) -> Tensor:
            features = embed(self.backbone, images)
            if self.distance == "cosine":
                closeness = functional.cosine_similarities(features, prototypes)
            else:
                closeness = -functional.squared_distances(features, prototypes) / features.shape[1]
            return self.log_scale.exp() * closeness

        return classify
