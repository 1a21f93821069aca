"""Classification heads on features: linear (with hidden layers and dropout), on unit features, and scaled cosine.

Where they begin, sources: from a fitted probe, Kumar et al., arXiv 2202.10054; from the prototypes (imprinting), Qi et
al., arXiv 1712.07136.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from fewshot import functional
from fewshot.config import Positive, Settings
from fewshot.heads import regression


class Options(Settings):
    """head: linear, `unit` (linear on centred features of unit length), or cosine with a learned scale.

    start: what the head's weights are before the first step; `probe`, for a unit head, is a logistic regression on the
    support with `c` as in the learner `probe`; null: the probe for a unit head, the prototypes for others. scale: the
    first scale of the logits, but for the probe's.
    """

    head: Literal["linear", "unit", "cosine"] = "cosine"
    start: Literal["random", "prototypes", "probe"] | None = None
    c: Positive = 1.0
    scale: Positive = 10.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _startable(self) -> Options:
        if self.start == "probe" and self.head != "unit":
            raise ValueError("a start from the probe needs head: unit")
        return self


def linear(
    n_features: int, n_way: int, hidden: Sequence[int] = (), dropout: float = 0.0
) -> nn.Sequential:
    """Dropout and dense layers with ReLU between them: features [n, d] -> logits [n, n_way]."""
    layers: list[nn.Module] = []
    widths = [n_features, *hidden]
    for c_in, c_out in itertools.pairwise(widths):
        layers += [nn.Dropout(dropout), nn.Linear(c_in, c_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(widths[-1], n_way))


class Members(nn.Module):
    """A head for each member's part of the features: [n, members * d] -> logits [n, members, n_way]."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, features: Tensor) -> Tensor:
        each = features.chunk(len(self.parts), 1)
        return torch.stack([head(own) for head, own in zip(self.parts, each, strict=True)], 1)


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

    def __init__(
        self, n_features: int, n_way: int, scale: float = 10.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(torch.randn(n_way, n_features) / math.sqrt(n_features))
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def forward(self, features: Tensor) -> Tensor:
        similarities = functional.cosine_similarities(self.dropout(features), self.weight)
        return self.log_scale.exp() * similarities


def last_layer(head: nn.Module) -> nn.Linear | Cosine:
    """What gives a head's logits; its `weight` has a row for each of them."""
    last = (
        head.linear
        if isinstance(head, Unit)
        else head[-1]
        if isinstance(head, nn.Sequential)
        else head
    )
    assert isinstance(last, nn.Linear | Cosine)
    return last


def build(options: Options, n_features: int, n_logits: int) -> nn.Module:
    """A head with random weights."""
    if options.head == "unit":
        return Unit(n_features, n_logits, options.dropout)
    if options.head == "cosine":
        return Cosine(n_features, n_logits, options.scale, options.dropout)
    return linear(n_features, n_logits, dropout=options.dropout)


@torch.no_grad()
def begin(head: nn.Module, options: Options, features: Tensor, labels: Tensor, n_way: int) -> None:
    """A head of all `n_way` classes becomes what `start` says, which is not random here: nearest prototypes or a probe.

    features [n, d] and labels int64 [n] of the support. Prototypes of a linear head: minus the squared distance to
    them, in units of the features' variance, times the scale; the query's own square is the same for all classes and
    drops out.
    """
    last = last_layer(head)
    if isinstance(head, Unit):
        head.centre.copy_(features.mean(0))
        features = head.unit(features)
        if options.start != "prototypes":
            weight, bias = regression.fit(features, labels, n_way, c=options.c)
            head.linear.weight.copy_(weight)
            head.linear.bias.copy_(bias)
            return
    if isinstance(last, Cosine):
        last.weight.copy_(functional.prototypes(F.normalize(features, dim=-1), labels, n_way))
        return
    prototypes = functional.prototypes(features, labels, n_way)
    variance = (features - features.mean(0)).square().sum(1).mean().clamp(min=1e-12)
    last.weight.copy_(2 * options.scale * prototypes / variance)
    last.bias.copy_(-options.scale * prototypes.square().sum(1) / variance)


@torch.no_grad()
def take_rows(head: nn.Module, source: nn.Module, classes: Tensor) -> None:
    """A head whose logits are those of `classes`, int64, in `source`, a head of the same kind on the same features."""
    last, given = last_layer(head), last_layer(source)
    last.weight.copy_(given.weight[classes])
    if isinstance(last, nn.Linear) and isinstance(given, nn.Linear):
        last.bias.copy_(given.bias[classes])
    if isinstance(head, Unit) and isinstance(source, Unit):
        head.centre.copy_(source.centre)
