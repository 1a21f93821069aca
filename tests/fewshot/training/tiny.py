"""A small classifier and a validation function, for the tests of the trainer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from episodes.rng import seeded
from episodes.types import Labelled
from fewshot import backbones
from fewshot.training.trainable import Trainable
from tests.fewshot import easy


class Tiny(Trainable):
    """A small Conv-4 and a linear head with dropout, trained by cross-entropy."""

    backbone: backbones.Backbone

    def __init__(self, dropout: float = 0.0, norm: str = "batch") -> None:
        super().__init__()
        self.backbone = backbones.build("conv4", options={"width": 8, "norm": norm})
        head = nn.Linear(self.backbone.n_features, easy.N_WAY)
        self.head = nn.Sequential(nn.Dropout(dropout), head)
        self.shares: list[float] = []

    def logits(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))

    def loss(self, item: Labelled) -> Tensor:
        return nn.functional.cross_entropy(self.logits(item.images), item.labels)

    def on_step(self, progress: float) -> None:
        self.shares.append(progress)


def build(dropout: float = 0.0, norm: str = "batch") -> Tiny:
    with seeded(0, "test"):
        return Tiny(dropout, norm)


def validate(model: Tiny) -> dict[str, float]:
    """Return loss and accuracy on images of the easy task that are in no stream."""
    batch = easy.labelled(4, seed=5)
    with torch.no_grad():
        logits = model.logits(batch.images)
    loss = nn.functional.cross_entropy(logits, batch.labels).item()
    return {"loss": loss, "accuracy": (logits.argmax(1) == batch.labels).float().mean().item()}


def weights(model: nn.Module) -> Tensor:
    """Return the whole state of a model as one vector on the CPU."""
    values = [value.detach().flatten().double().cpu() for value in model.state_dict().values()]
    return torch.cat(values)
