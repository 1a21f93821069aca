"""Features with labels and a small network, for the tests of learners."""

from __future__ import annotations

import torch
from torch import Tensor

from episodes.rng import seeded
from episodes.types import Features, Labelled
from fewshot import backbones


def features(n_way: int, per_class: int = 6, d: int = 10) -> tuple[Labelled, Tensor]:
    """Return support features with labels, and queries; learners accept rows as features."""
    draw = torch.Generator().manual_seed(n_way)
    centres = torch.randn(n_way, d, generator=draw)
    labels = torch.arange(n_way).repeat(per_class)
    support = centres[labels] + 0.8 * torch.randn(len(labels), d, generator=draw) + 3
    queries = centres[labels] + 0.8 * torch.randn(len(labels), d, generator=draw) + 3
    return Labelled(support.as_subclass(Features), labels), queries.as_subclass(Features)


def network() -> backbones.Backbone:
    """Return a small network without batch statistics."""
    with seeded(0, "test"):
        return backbones.build("conv4", options={"width": 8, "norm": "group"})
