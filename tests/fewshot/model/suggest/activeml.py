"""Pools as scikit-activeml takes them, whose picks are an oracle of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fewshot.model.suggest import space
from fewshot.model.suggest.picks import Pool


def prepared_pool(n: int, n_labelled: int, seed: int = 0) -> Pool:
    """Return a pool with centred features of unit length in a few groups."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n + n_labelled, 6, generator=generator, dtype=torch.float64)
    features += (
        2
        * torch.randn(5, 6, generator=generator, dtype=torch.float64).repeat(n, 1)[: len(features)]
    )
    labels = torch.randint(0, 3, (n_labelled,), generator=generator)
    return space.prepared(Pool(features[:n].float(), features[n:].float(), labels))


def query(strategy: Any, pool: Pool, budget: int, *further: Any) -> tuple[list[int], np.ndarray]:
    """Return the picks of a strategy and the utility of each when it was picked."""
    everything = torch.cat([pool.features, pool.labelled]).double().numpy()
    unknown = np.full(len(pool.features), np.nan)
    labels = np.concatenate([unknown, pool.labels.double().numpy()])
    picks, utilities = strategy.query(
        everything, labels, *further, batch_size=budget, return_utilities=True
    )
    return picks.tolist(), utilities[np.arange(budget), picks]
