"""The map from the body of a pretrained network of our own to its features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewshot.functional import signed_root

PLACES = 2  # of a pooled stage: its upper half and its lower half
# Lengths of the parts of the features, relative to the length of the last stage's part.
PREVIOUS_STAGE_LENGTH = 0.7
CLASS_LENGTH = 0.8


class FeatureMap(nn.Module, ABC):
    """A fixed map from `networks.Body.levels` to features [n, n_features]."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """The number of features."""


class Finish(FeatureMap):
    """The map that `fewshot pretrain` computes for a network.

    The features have up to three parts. The first is the signed square roots of the last stage at
    every place (`functional.signed_root`), minus `shift`, times `mix`. The second, for a body with
    pooled stages, is the same of the previous stage, PREVIOUS_STAGE_LENGTH times as long whatever
    the widths of the two stages. The third, if the classifier of the pretraining is known, is the
    square roots of its class probabilities, CLASS_LENGTH times as long. The inner product of two
    such roots is Bhattacharyya's coefficient of the two images' probabilities.

    Args:
        shift: mean of the roots of the last stage, [c].
        mix: decorrelation of the last stage, [c, c], as of `functional.decorrelation`.
        shift_before: mean of the roots of the previous stage, [b].
        mix_before: decorrelation of the previous stage, [b, b].
        weight: weights of the classifier of the body's features, [n_classes, c].
        bias: biases of that classifier, [n_classes].

    Source: classes as features are from Torresani et al., Classemes, ECCV 2010.
    """

    def __init__(
        self,
        shift: Tensor,
        mix: Tensor,
        shift_before: Tensor | None = None,
        mix_before: Tensor | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("shift", shift)
        self.register_buffer("mix", mix)
        self.register_buffer("shift_before", shift_before)
        self.register_buffer("mix_before", mix_before)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    shift: Tensor
    mix: Tensor
    shift_before: Tensor | None
    mix_before: Tensor | None
    weight: Tensor | None
    bias: Tensor | None

    @property
    def n_classes(self) -> int:
        """The number of classes of the pretraining, 0 if its classifier is not known."""
        return 0 if self.weight is None else len(self.weight)

    @property
    def n_features(self) -> int:
        if self.mix_before is None:
            return len(self.mix) + self.n_classes
        return PLACES * (len(self.mix) + len(self.mix_before)) + self.n_classes

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        length = len(self.mix) ** 0.5
        parts = [_map_level(levels[0], self.shift, self.mix)]
        if self.shift_before is not None and self.mix_before is not None:
            previous = _map_level(levels[1], self.shift_before, self.mix_before)
            parts.append(PREVIOUS_STAGE_LENGTH * previous)
        if self.weight is not None:
            parts.append(CLASS_LENGTH * (self.class_logits(levels).log_softmax(1) / 2).exp())
        return length * torch.cat(parts, 1)

    def class_logits(self, levels: Sequence[Tensor]) -> Tensor:
        """Return logits [n, n_classes] of the classes of the pretraining.

        They are those of the mean over the places, which counts the middle row of an odd number of
        rows twice.
        """
        assert self.weight is not None
        return F.linear(levels[0].mean(1), self.weight, self.bias)

    def class_log_probabilities(self, features: Tensor) -> Tensor:
        """Return log probabilities [n, n_classes] of the classes of the pretraining.

        Features that are a mean over views give the squared mean of the roots, scaled to a sum of
        one.

        Args:
            features: the output of `forward`, [n, n_features].
        """
        roots = features[:, -self.n_classes :].clamp_min(torch.finfo(features.dtype).tiny)
        return (2 * roots.log()).log_softmax(1)


def _map_level(level: Tensor, shift: Tensor, mix: Tensor) -> Tensor:
    """Map a level [n, places, c] to [n, places * c]; rows of mean square one get the length one."""
    mapped = ((signed_root(level) - shift) @ mix).flatten(1)
    return mapped / mapped.shape[1] ** 0.5
