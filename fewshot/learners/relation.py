"""Relation networks, on feature vectors.

Sources: Sung, Yang, Zhang, Xiang, Torr, Hospedales, Learning to compare: relation network for
few-shot learning, arXiv 1711.06025; the softmax in place of the squared error, Chen et al., A
closer look at few-shot classification, arXiv 1904.04232.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed
from fewshot.config import Count, Positive
from fewshot.learners.base import Classifier, EpisodeOptions
from fewshot.learners.metric import MetricLearner


class Options(EpisodeOptions):
    """The settings of `relation`."""

    hidden: Count = Field(
        default=512,
        description="Size of the hidden layer of the relation module, which must be even. [units]",
        multiple_of=2,
    )
    scale: Positive = Field(
        default=10.0,
        description="Factor of the distance that the relation module computes before training.",
    )


class Relation(MetricLearner):
    """Relation networks: a learned comparison of a query with the class means of the features.

    The relation module is a network with one hidden layer. It gets the features of a query and the
    mean features of a class, each scaled to a mean square of one, and returns a logit. All its
    weights are learned. They start such that the logit is a distance: the hidden units come in
    pairs, which measure the difference of query and class mean along a random direction and against
    it. Batch norm uses its running statistics.

    In the paper the module consists of two convolutions and two layers on feature maps, class maps
    are sums over the images, and the loss is the squared error of a sigmoid. Here features are
    vectors, which can be cached, and the loss is the cross-entropy of the softmax over the classes.

    Args:
        backbone: the network that turns images into features.
        options: all settings at once.
        **settings: single settings; see `Options`.
    """

    options_type = Options
    options: Options

    def __init__(self, backbone: Backbone, options: Options | None = None, **settings: Any) -> None:
        super().__init__(backbone, options, **settings)
        width, half = backbone.n_features, self.options.hidden // 2
        self.compare = nn.Linear(2 * width, self.options.hidden)
        # A bias would be the same for all classes, so the softmax would ignore it.
        self.relate = nn.Linear(self.options.hidden, 1, bias=False)
        directions = torch.randn(half, width) / width**0.5
        differences = torch.cat([directions, -directions], 1)
        with torch.no_grad():
            self.compare.weight.copy_(torch.cat([differences, -differences]))
            self.compare.bias.zero_()
            self.relate.weight.fill_(-self.options.scale / half)

    def _classifier(self, support: Labelled, n_way: int) -> Classifier:
        support_features = embed(self.backbone, support.images)
        prototypes_WD = functional.prototypes(support_features, support.labels, n_way)

        def classify(images: Tensor) -> Tensor:
            return self._relations(embed(self.backbone, images), prototypes_WD)

        return classify

    def task_logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        one_hot_TSW = labels_TS[..., None] == torch.arange(n_way, device=labels_TS.device)
        # The length of a prototype does not matter, so a sum does as well as a mean.
        return self._relations(query_TQD, one_hot_TSW.to(support_TSD).mT @ support_TSD)

    def _relations(self, query_QD: Tensor, prototypes_WD: Tensor) -> Tensor:
        """Return the logits of the relation module for all pairs, [..., q, n_way].

        The first layer sees a query and a prototype side by side, so it is the sum of a part for
        each, and neither is computed again for every pair.
        """
        for_query, for_prototype = self.compare.weight.chunk(2, 1)
        query_QH = _scaled(query_QD) @ for_query.T + self.compare.bias
        prototypes_WH = _scaled(prototypes_WD) @ for_prototype.T
        logits = [
            self.relate(F.relu(query_QH + prototype_H[..., None, :]))[..., 0]
            for prototype_H in prototypes_WH.unbind(-2)
        ]
        return torch.stack(logits, -1)


def _scaled(features: Tensor) -> Tensor:
    """Scale features to a mean square of one, the size that initial weights are made for."""
    return F.normalize(features, dim=-1) * features.shape[-1] ** 0.5
