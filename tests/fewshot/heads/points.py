"""Labelled points in clusters, for the tests of the heads."""

import torch
from torch import Tensor

from episodes.rng import generator


def clusters(
    n_way: int, per_class: int = 6, n_features: int = 10, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return features [n_way * per_class, n_features] around random centres, and their labels."""
    random = generator(seed, "clusters")
    labels = torch.arange(n_way).repeat(per_class)
    centres = 2 * torch.randn(n_way, n_features, generator=random)
    noise = torch.randn(len(labels), n_features, generator=random)
    return centres[labels] + noise + 1, labels
