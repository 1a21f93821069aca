"""Pick the image that is farthest from all labelled and picked images, again and again.

Source: Sener and Savarese, Active learning for convolutional neural networks: a core-set approach,
2018 (k-centre greedy).
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewshot.model.suggest import space
from fewshot.model.suggest.picks import Pool


def select(pool: Pool, budget: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the picks, int64 [budget], and the distance of each to the images before it.

    Without labelled images the first pick is the image nearest to the mean.

    Args:
        pool: with features of unit length.
        budget: number of picks.
        seed: not used.
    """
    nearest = space.nearest(pool.features, pool.labelled)
    picks = torch.empty(budget, dtype=torch.int64)
    distances = torch.empty(budget)
    for number in range(budget):
        if number or len(pool.labelled):
            best = int(nearest.argmin())
        else:
            best = int((pool.features @ pool.features.mean(0)).argmax())
        picks[number] = best
        distances[number] = (2 - 2 * nearest[best]).clamp(min=0).sqrt()
        torch.maximum(nearest, pool.features @ pool.features[best], out=nearest)
        nearest[best] = torch.inf
    return picks, distances
