"""A second task on the same images: by how many quarter turns an image was rotated.

Source: Mangla et al., Charting the right manifold (S2M2), arXiv 1907.12087, after Gidaris et al.,
arXiv 1803.07728.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from episodes.types import Labelled
from fewshot import functional
from fewshot.learners.supervised import Supervised
from fewshot.learners.variation import Variation


class Rotation(Variation[Supervised]):
    """A supervised learner that also predicts the rotation of a quarter of each batch.

    Args:
        learner: the supervised learner.
        weight: factor of the cross-entropy of the rotations.
    """

    def __init__(self, learner: Supervised, weight: float) -> None:
        super().__init__(learner, images=True)
        self.weight = weight
        self.turn_head = nn.Linear(learner.backbone.n_features, 4)

    def loss(self, item: Labelled) -> Tensor:
        n = len(item.images)
        turned, turns = functional.quarter_turns(item.images[: -(-n // 4)])
        features = self.backbone(torch.cat([item.images, turned]))
        supervised = self.learner.logits_loss(self.learner.head(features[:n]), item.labels)
        rotations = functional.cross_entropy(self.turn_head(features[n:]), turns)
        return supervised + self.weight * rotations
