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

    def unit(self, features: Tensor) -> Tensor:
        return F.normalize(features - self.centre, dim=-1)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.dropout(self.unit(features)))


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


def last_layer(head: nn.Module) -> nn.Linear | Cosine:
    """What gives a head's logits; its `weight` has a row for each of them."""
    last = head.linear if isinstance(head, Unit) else head[-1] if isinstance(head, nn.Sequential) else head
    assert isinstance(last, nn.Linear | Cosine)
    return last


@torch.no_grad()
def start_at_prototypes(head: nn.Module, features: Tensor, labels: Tensor, classes: Tensor, scale: float) -> None:
    """A linear, unit or cosine head becomes a nearest-prototype classifier (Qi et al., arXiv 1712.07136).

    features [n, d] and labels int64 [n] of the support; classes int64: the class of each of the head's logits.
    Linear: minus the squared distance to the prototypes, in units of the features' variance, times the scale;
    the query's own square is the same for all classes and drops out.
    """
    if isinstance(head, Unit):
        features = head.unit(features)
    last = last_layer(head)
    n_way = max(int(labels.max()), int(classes.max())) + 1
    if isinstance(last, Cosine):
        last.weight.copy_(functional.prototypes(F.normalize(features, dim=-1), labels, n_way)[classes])
        return
    prototypes = functional.prototypes(features, labels, n_way)[classes]
    variance = (features - features.mean(0)).square().sum(1).mean().clamp(min=1e-12)
    last.weight.copy_(2 * scale * prototypes / variance)
    last.bias.copy_(-scale * prototypes.square().sum(1) / variance)
