"""Matching networks, without full context embeddings.

Source: Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra, Matching networks for one shot
learning, arXiv 1606.04080, equations 1 and 2.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.types import Labelled
from fewshot.backbones import Backbone, embed
from fewshot.config import Positive
from fewshot.learners.base import Classifier, EpisodeOptions
from fewshot.learners.metric import MetricLearner

PAIRS_AT_ONCE = 1 << 22  # of a query and a support image, whose cosines are in memory together


class Options(EpisodeOptions):
    """The settings of `matching`."""

    scale: Positive = Field(
        default=10.0,
        description="Initial factor of the cosines in the attention, which is then learned.",
    )


class Matching(MetricLearner):
    """Matching networks: attention to the support images, by the cosine of trained features.

    The attention of a query is the softmax of its cosines to all support images. The probability
    of a class is the sum of the attention to its images, divided by their number, so that a class
    with more labels is not preferred. In the paper the sum is not divided, which is the same where
    all classes have equally many. The cosines are multiplied by a learned scale. Full context
    embeddings, the paper's networks on top of the features, are left out. Batch norm uses its
    running statistics.

    Args:
        backbone: the network that turns images into features.
        options: all settings at once.
        **settings: single settings; see `Options`.
    """

    options_type = Options
    options: Options

    def __init__(self, backbone: Backbone, options: Options | None = None, **settings: Any) -> None:
        super().__init__(backbone, options, **settings)
        self.log_scale = nn.Parameter(torch.tensor(math.log(self.options.scale)))

    def _classifier(self, support: Labelled, n_way: int) -> Classifier:
        support_SD = embed(self.backbone, support.images)
        rows = max(1, PAIRS_AT_ONCE // len(support_SD))

        def classify(images: Tensor) -> Tensor:
            parts = embed(self.backbone, images).split(rows)
            return torch.cat([self._logits(support_SD, support.labels, q, n_way) for q in parts])

        return classify

    def task_logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        return self._logits(support_TSD, labels_TS, query_TQD, n_way)

    def _logits(self, support_SD: Tensor, labels_S: Tensor, query_QD: Tensor, n_way: int) -> Tensor:
        """Return the log-probability of each class up to a constant, [..., q, n_way].

        The arguments may have a leading dimension of tasks.
        """
        support_SD, query_QD = F.normalize(support_SD, dim=-1), F.normalize(query_QD, dim=-1)
        attention_QS = self.log_scale.exp() * query_QD @ support_SD.mT
        logits = []
        for label in range(n_way):
            member_S = labels_S == label
            # Minus infinity for the images of other classes, without reading a value.
            excluded_S = torch.zeros_like(support_SD[..., 0]).masked_fill(~member_S, -torch.inf)
            sums_Q = (attention_QS + excluded_S[..., None, :]).logsumexp(-1)
            counts = member_S.sum(-1, keepdim=True).clamp(min=1)
            logits.append(sums_Q - counts.to(sums_Q).log())
        return torch.stack(logits, -1)
