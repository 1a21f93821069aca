"""Data sets for tests of the checks: random pictures, and features that form a cluster a class."""

from __future__ import annotations

import torch

from fewshot.checks.inspected import Inspected

CLASSES = ("cat", "dog", "owl", "rat")


def data_set(n_each: int, seed: int = 0, spread: float = 0.3) -> Inspected:
    """Return images of four classes, whose features surround the corners of a simplex."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(CLASSES)).repeat_interleave(n_each)
    n = len(labels)
    corners = torch.eye(len(CLASSES), 16)
    return Inspected(
        data="photos",
        classes=CLASSES,
        names=tuple(f"{number}.jpg" for number in range(n)),
        labels=labels,
        thumbnails=torch.randint(256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8),
        features=corners[labels] + spread * torch.randn(n, 16, generator=generator) / 4,
        sizes=torch.tensor([[60, 80]]).repeat(n, 1),
        files=None,
        unreadable=(),
    )
