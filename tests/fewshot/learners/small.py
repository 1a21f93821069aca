"""A small network, and features that pass through it unchanged, for the tests of learners."""

from __future__ import annotations

import torch
from torch import Tensor

from episodes.rng import generator, seeded
from episodes.types import Features, Labelled
from fewshot import backbones


def network(name: str = "conv4", **options: object) -> backbones.Backbone:
    """Return a small network with random weights, always the same.

    The default has no batch statistics.
    """
    with seeded(0, "test"):
        return backbones.build(name, options=options or {"width": 8, "norm": "group"})


def features(n_way: int, per_class: int = 6, d: int = 10) -> tuple[Labelled, Tensor]:
    """Return support features with labels, and as many queries; learners accept them as images."""
    random = torch.Generator().manual_seed(n_way)
    centres = torch.randn(n_way, d, generator=random)
    labels = torch.arange(n_way).repeat(per_class)
    support = centres[labels] + 0.8 * torch.randn(len(labels), d, generator=random) + 3
    queries = centres[labels] + 0.8 * torch.randn(len(labels), d, generator=random) + 3
    return Labelled(support.as_subclass(Features), labels), queries.as_subclass(Features)


def random_images(n: int, n_way: int, seed: int = 0) -> Labelled:
    """Return images of noise, with the labels in turn."""
    images = torch.rand(n, 3, 16, 16, generator=generator(seed, "images"))
    return Labelled(images, torch.arange(n) % n_way)
