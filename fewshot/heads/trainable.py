"""Trainable heads on features: linear, linear on unit features, scaled cosine, and ensembles.

Sources of their starts: from a fitted probe, Kumar et al., arXiv 2202.10054; from the prototypes
(imprinting), Qi et al., arXiv 1712.07136.
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
from fewshot.heads.affine import AffineHead


class HeadOptions(Settings):
    """The settings of a head that starts from the support set."""

    head: Literal["linear", "unit", "cosine"] = Field(
        default="cosine",
        description="Kind of head: linear, linear on centred features of unit length, or cosine "
        "with a learned scale.",
    )
    start: Literal["random", "prototypes", "probe"] | None = Field(
        default=None,
        description="Weights of the head before the first step: random, the class prototypes, or "
        "(for a unit head) a logistic regression on the support; null is the probe for a unit "
        "head and the prototypes for others.",
    )
    c: Positive = Field(
        default=1.0,
        description="Inverse strength of the regularisation of the logistic regression that the "
        "head starts from.",
    )
    scale: Positive = Field(
        default=10.0, description="Initial factor of the logits, unless they start from a probe."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Probability of dropping a feature before the head."
    )

    @model_validator(mode="after")
    def _startable(self) -> HeadOptions:
        if self.start == "probe" and self.head != "unit":
            raise ValueError("a start from the probe needs head: unit")
        return self

    @property
    def fitted_at_start(self) -> bool:
        """Whether a logistic regression is what classifies before the first step."""
        return self.head == "unit" and self.start in ("probe", None)


def linear(
    n_features: int, n_way: int, hidden: Sequence[int] = (), dropout: float = 0.0
) -> nn.Sequential:
    """Return dense layers with dropout before and ReLU between: features [n, d] -> logits.

    Args:
        n_features: number of features, d.
        n_way: number of logits.
        hidden: widths of the layers between the features and the logits.
        dropout: probability of dropping an input of each dense layer.
    """
    layers: list[nn.Module] = []
    widths = [n_features, *hidden]
    for width_in, width_out in itertools.pairwise(widths):
        layers += [nn.Dropout(dropout), nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(widths[-1], n_way))


class EnsembleHead(nn.Module):
    """One head for each network's part of the features: [n, m * d] -> logits [n, m, n_way]."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, features: Tensor) -> Tensor:
        chunks = features.chunk(len(self.parts), 1)
        return torch.stack([head(chunk) for head, chunk in zip(self.parts, chunks, strict=True)], 1)


class UnitHead(nn.Module):
    """A linear layer on centred features of unit length: a trainable probe with a fixed centre."""

    centre: Tensor

    def __init__(self, n_features: int, n_way: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(n_features, n_way)
        self.register_buffer("centre", torch.zeros(n_features))

    def normalise(self, features: Tensor) -> Tensor:
        """Return the features centred and scaled to unit length."""
        return F.normalize(features - self.centre, dim=-1)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.dropout(self.normalise(features)))


class CosineHead(nn.Module):
    """Scaled cosines to one learnable vector per class.

    Without a scale the logits lie in [-1, 1] and training stalls. The scale is learned; the
    parameter is its logarithm.

    Source: Chen et al., A closer look at few-shot classification, arXiv 1904.04232, section 3.2.
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


def last_layer(head: nn.Module) -> nn.Linear | CosineHead:
    """Return the layer that gives a head's logits; its `weight` has one row per logit."""
    layer = head
    if isinstance(head, UnitHead):
        layer = head.linear
    elif isinstance(head, nn.Sequential):
        layer = head[-1]
    assert isinstance(layer, nn.Linear | CosineHead)
    return layer


@torch.no_grad()
def as_affine(head: nn.Module) -> AffineHead | None:
    """Return a copy of a trained head as numbers; None if it has hidden layers or several parts."""
    if isinstance(head, UnitHead):
        layer = head.linear
        return AffineHead(layer.weight.clone(), layer.bias.clone(), head.centre.clone(), True)
    if isinstance(head, CosineHead):
        weight = head.log_scale.exp() * F.normalize(head.weight, dim=-1)
        return AffineHead(weight, torch.zeros_like(weight[:, 0]), normalise=True)
    layers = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    if isinstance(head, nn.Sequential) and len(layers) == 1:
        return AffineHead(layers[0].weight.clone(), layers[0].bias.clone())
    return None


def build(options: HeadOptions, n_features: int, n_logits: int) -> nn.Module:
    """Build a head with random weights from torch's global generator."""
    if options.head == "unit":
        return UnitHead(n_features, n_logits, options.dropout)
    if options.head == "cosine":
        return CosineHead(n_features, n_logits, options.scale, options.dropout)
    return linear(n_features, n_logits, dropout=options.dropout)


@torch.no_grad()
def start_from_support(
    head: nn.Module, options: HeadOptions, features: Tensor, labels: Tensor, n_way: int
) -> None:
    """Set the weights of a head to the class prototypes or to a probe, as `options.start` says.

    The logits of a linear head become minus the squared distance to the prototypes, in units of
    the variance of the features, times the scale. The square of the query is the same for all
    classes and drops out.

    Args:
        head: a head with one logit per class, changed in place.
        options: the settings of the head; `start` is not "random".
        features: of the support, float [n, d].
        labels: of the support, int64 [n].
        n_way: number of classes.
    """
    layer = last_layer(head)
    if isinstance(head, UnitHead):
        head.centre.copy_(features.mean(0))
        features = head.normalise(features)
        if options.start != "prototypes":
            weight, bias = regression.fit(features, labels, n_way, c=options.c)
            head.linear.weight.copy_(weight)
            head.linear.bias.copy_(bias)
            return
    if isinstance(layer, CosineHead):
        layer.weight.copy_(functional.prototypes(F.normalize(features, dim=-1), labels, n_way))
        return
    prototypes = functional.prototypes(features, labels, n_way)
    variance = (features - features.mean(0)).square().sum(1).mean().clamp(min=1e-12)
    layer.weight.copy_(2 * options.scale * prototypes / variance)
    layer.bias.copy_(-options.scale * prototypes.square().sum(1) / variance)


@torch.no_grad()
def copy_rows(head: nn.Module, source: nn.Module, classes: Tensor) -> None:
    """Make the logits of a head those of some classes of another head.

    Args:
        head: changed in place.
        source: a head of the same kind on the same features.
        classes: int64 [n_logits of `head`], rows of `source`; a class may occur several times.
    """
    layer, source_layer = last_layer(head), last_layer(source)
    layer.weight.copy_(source_layer.weight[classes])
    if isinstance(layer, nn.Linear) and isinstance(source_layer, nn.Linear):
        layer.bias.copy_(source_layer.bias[classes])
    if isinstance(head, UnitHead) and isinstance(source, UnitHead):
        head.centre.copy_(source.centre)
