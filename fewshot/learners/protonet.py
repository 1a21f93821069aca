"""Prototypical networks.

Source: Snell, Swersky, Zemel, Prototypical networks for few-shot learning, arXiv 1703.05175.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from episodes.tasks.task_set import TaskSet
from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed
from fewshot.config import Positive
from fewshot.heads import affine
from fewshot.heads.affine import AffineHead
from fewshot.heads.inductive.nearest_mean import NearestMean
from fewshot.heads.task_head import TaskClassifier
from fewshot.learners.base import Classifier, EpisodeOptions
from fewshot.learners.metric import MetricLearner


class Options(EpisodeOptions):
    """The settings of `protonet`."""

    distance: Literal["euclidean", "cosine"] = Field(
        default="euclidean",
        description="What compares a query with a prototype: the squared Euclidean distance, "
        "divided by the number of features, or the cosine.",
    )
    scale: Positive = Field(
        default=10.0, description="Initial factor of the logits, which is then learned."
    )


class ProtoNet(MetricLearner):
    """Prototypical networks: the nearest class mean of features that episodes train.

    Squared Euclidean distances are divided by the number of features, so that the softmax does
    not saturate in many dimensions. Distances or cosines are multiplied by a learned scale. Batch
    norm uses its running statistics. Without training (`train: null`) this is the nearest class
    mean of the backbone's features. With squared distances, classes with more labels than others
    are preferred where classes overlap, because the means of few images are farther from all
    queries; with cosines this is much less.

    Args:
        backbone: the network that turns images into features.
        options: all settings at once.
        **settings: single settings; see `Options`.
    """

    at_once = 8
    options_type = Options
    options: Options

    def __init__(self, backbone: Backbone, options: Options | None = None, **settings: Any) -> None:
        super().__init__(backbone, options, **settings)
        self.log_scale = nn.Parameter(torch.tensor(math.log(self.options.scale)))

    def _classifier(self, support: Labelled, n_way: int) -> Classifier:
        support_features = embed(self.backbone, support.images)
        prototypes = functional.prototypes(support_features, support.labels, n_way)

        def classify(images: Tensor) -> Tensor:
            features = embed(self.backbone, images)
            if self.options.distance == "cosine":
                closeness = functional.cosine_similarities(features, prototypes)
            else:
                closeness = -functional.squared_distances(features, prototypes) / features.shape[1]
            return self.log_scale.exp() * closeness

        return classify

    def affine_head(self, support: Labelled) -> AffineHead | None:
        features, n_way = embed(self.backbone, support.images), int(support.labels.max()) + 1
        scale = self.log_scale.exp().item()
        if self.options.distance == "cosine":
            kind: affine.Kind = "cosine"
        else:
            kind, scale = "nearest-mean", scale / features.shape[1]
        return affine.fit(
            features,
            support.labels,
            n_way,
            kind=kind,
            scale=scale,
            centre=False,
            normalise=False,
        )

    def task_logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        logits = self._nearest_mean(support_TSD, labels_TS, query_TQD, n_way)
        if self.options.distance == "euclidean":
            logits = (logits - query_TQD.square().sum(2, keepdim=True)) / query_TQD.shape[2]
        return self.log_scale.exp() * logits

    def on_pool(self, features_ND: Tensor) -> TaskClassifier:
        nearest_mean = self._nearest_mean.on_pool(features_ND)
        squares_N = features_ND.square().sum(1)

        def classify(tasks: TaskSet) -> Tensor:
            logits = nearest_mean(tasks)
            if self.options.distance == "euclidean":
                logits = (logits - squares_N[tasks.query][..., None]) / features_ND.shape[1]
            return self.log_scale.exp() * logits

        return classify

    @property
    def _nearest_mean(self) -> NearestMean:
        """The head that classifies features; of squared distances it omits the query's square."""
        return NearestMean(features="UN", distance=self.options.distance)
