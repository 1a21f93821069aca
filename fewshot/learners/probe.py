"""Classifiers on frozen features: logistic and ridge regression, nearest mean, cosine.

Sources: logistic on L2-normalised features, Tian et al., arXiv 2003.11539; nearest mean with centring and L2
(CL2N), Wang et al., SimpleShot, arXiv 1911.04623.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed
from fewshot.config import Positive
from fewshot.heads import regression
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Task


class Options(LearnerOptions):
    """c: inverse strength of the regularisation of logistic and ridge; several values: chosen by cross-validation.

    centre: subtract the support's mean; normalise: to unit length after that; scale: of the logits, but for logistic.
    """

    classifier: Literal["logistic", "ridge", "nearest-mean", "cosine"] = "logistic"
    c: Positive | tuple[Positive, ...] = 1.0
    centre: bool = True
    normalise: bool = True
    scale: Positive = 10.0


class Probe(Learner):
    """Fits a classifier to the support's features; the backbone is never trained."""

    options_type = Options
    feed = None

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.n_way = task.n_way
        self.options = options

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> Probe:
        return cls(backbone, task, options)

    def train(self, mode: bool = True) -> Probe:
        super().train(mode)
        self.backbone.eval()
        return self

    def loss(self, item: Labelled) -> Tensor:
        """Cross-entropy of the fitted classifier; nothing here is trainable."""
        return functional.cross_entropy(self.adapt(item)(item.images), item.labels)

    def adapt(self, support: Labelled) -> Classifier:
        return classifier(self.backbone, support, self.options)


def classifier(backbone: Backbone, support: Labelled, options: Options) -> Classifier:
    """A classifier fitted to the support's features; the backbone is left as it is."""
    raw = embed(backbone, support.images)
    centre = raw.mean(0) if options.centre else torch.zeros_like(raw[0])
    n_way = int(support.labels.max()) + 1

    def prepared(features: Tensor) -> Tensor:
        features = features - centre
        return F.normalize(features, dim=-1) if options.normalise else features

    features = prepared(raw)
    if options.classifier == "nearest-mean" or options.classifier == "cosine":
        means = functional.prototypes(features, support.labels, n_way)

        def classify(images: Tensor) -> Tensor:
            queries = prepared(embed(backbone, images))
            if options.classifier == "cosine":
                return options.scale * functional.cosine_similarities(queries, means)
            return -options.scale * functional.squared_distances(queries, means)

        return classify
    weight, bias = regression.fit(
        features, support.labels, n_way, kind=options.classifier, c=options.c, scale=options.scale
    )
    return lambda images: F.linear(prepared(embed(backbone, images)), weight, bias)
