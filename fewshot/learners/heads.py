"""Classification heads on features: linear (with hidden layers and dropout), on unit features, and scaled cosine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewshot import functional


def linear(n_features: int, n_way: int, hidden: Sequence[int] = (), dropout: float = 0.0) -> nn.Sequential:
    """Dropout and dense layers with ReLU between them: features [n, d] -> logits [n, n_way]."""
    layers: list[nn.Module] = []
    widths = [n_features, *hidden]
    for c_in, c_out in itertools.pairwise(widths):
        layers += [nn.Dropout(dropout), nn.Linear(c_in, c_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(widths[-1], n_way))


class Unit(nn.Module):
    """A linear layer on centred features of unit length: what a probe is, made trainable; the centre is fixed."""

    centre: Tensor

    def __init__(self, n_features: int, n_way: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(n_features, n_way)
        self.register_buffer("centre", torch.zeros(n_features))

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.dropout(F.normalize(features - self.centre, dim=-1)))


class Cosine(nn.Module):
    """Scaled cosine to one learnable vector a class (Chen et al., A Closer Look, arXiv 1904.04232, section 3.2).

    Without a scale the logits lie in [-1, 1] and training stalls; the scale is learned, its logarithm stored.
    """

    def __init__(self, n_features: int, n_way: int, scale: float = 10.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(torch.randn(n_way, n_features) / math.sqrt(n_features))
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def forward(self, features: Tensor) -> Tensor:
        similarities = functional.cosine_similarities(self.dropout(features), self.weight)
        return self.log_scale.exp() * similarities
