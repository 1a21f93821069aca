"""Pick images at random, which other methods are compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from fewshot.model.suggest.picks import Pool


def select(pool: Pool, budget: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the picks, int64 [budget], and zeros."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(len(pool.features), generator=generator)[:budget], torch.zeros(budget)
