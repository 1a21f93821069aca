"""timm models with unusual weights, for the tests of weight files and of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from episodes.rng import seeded
from fewshot import backbones
from tests.fewshot.backbones import seeded_build


def build(name: str, weights: Path | str, **settings: Any) -> backbones.Backbone:
    """Build a backbone for images of 64x64 pixels with the weights of a file or of the hub."""
    return seeded_build.build(name, 1, weights=str(weights), input_size=64, **settings)


def source(name: str, n_classes: int = 7, **options: Any) -> nn.Module:
    """Return a model whose weights, norms and buffers are unlike any initial state."""
    with seeded(5, "source"):
        model = timm.create_model(name, num_classes=n_classes, **options).eval()
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(0.1 * torch.rand_like(value))
    return model


def has_weights_of(backbone: backbones.Backbone, model: nn.Module) -> bool:
    """Return whether the whole body has the values of a model."""
    state = model.state_dict()
    return all(torch.equal(value, state[key]) for key, value in backbone.body.state_dict().items())
