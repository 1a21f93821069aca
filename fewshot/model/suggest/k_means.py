"""Pick the image nearest to the centre of each cluster of k-means."""

from __future__ import annotations

import torch
from torch import Tensor

from fewshot.model.suggest.clusters import clusters
from fewshot.model.suggest.picks import Pool


def select(pool: Pool, budget: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the picks, int64 [budget], and the share of the pool in the cluster of each.

    Args:
        pool: with features of unit length.
        budget: number of picks.
        seed: of the starts of k-means.
    """
    groups = clusters(pool, budget, seed)
    distances = (pool.features - groups.centres[groups.of_images]).norm(dim=1)
    picks = torch.empty_like(groups.order)
    for number, cluster in enumerate(groups.order):
        picks[number] = distances.where(groups.of_images == cluster, torch.inf).argmin()
        distances[picks[number]] = torch.inf
    return picks, groups.shares
