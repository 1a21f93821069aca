"""Backbones whose random weights follow a seed, for the tests of this folder."""

from __future__ import annotations

from typing import Any

from episodes.rng import seeded
from fewshot import backbones


def build(name: str, seed: int = 0, **settings: Any) -> backbones.Backbone:
    """Build a backbone in evaluation mode from keyword settings."""
    with seeded(seed, "test"):
        return backbones.build(name, **settings).eval()
