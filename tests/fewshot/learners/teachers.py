"""Weight files of two teachers, for the tests of learners."""

from __future__ import annotations

from pathlib import Path

import torch

from episodes.rng import seeded
from fewshot import backbones
from fewshot.backbones import own_weights
from fewshot.config import BackboneSettings
from tests.fewshot import easy


def write_teachers(folder: Path, n_way: int = easy.N_WAY) -> list[str]:
    """Write the files of two networks, each with a map and a classifier of its features."""
    result = []
    for seed in range(2):
        with seeded(seed, "teacher"):
            settings = BackboneSettings(name="conv4", options={"width": 8})
            body, options = backbones.build(settings).body, backbones.resolved_options(settings)
            d = body.n_features
            finish = {"shift": torch.rand(d), "mix": torch.rand(d, d)}
            finish |= {"weight": 20 * torch.rand(n_way, d), "bias": torch.rand(n_way)}
        result.append(str(folder / f"{seed}.safetensors"))
        Path(result[-1]).write_bytes(
            own_weights.pack(body.state_dict(), finish, "conv4", options, {})
        )
    return result
