"""Pick the most typical image of each cluster: the one that is nearest to its own neighbours.

Source: Hacohen, Dekel and Weinshall, Active learning on a budget: opposite strategies suit high
and low budgets, 2022 (TypiClust).
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewshot.model.suggest import space
from fewshot.model.suggest.clusters import clusters
from fewshot.model.suggest.picks import Pool

NEIGHBOURS = 20
MOST_COMPARED = 10_000  # members of a cluster that are compared; of more, random ones


def typicalities(features: Tensor) -> Tensor:
    """Return one over the mean distance of each image to its nearest neighbours, float [n].

    Args:
        features: of the images of a cluster, of unit length, float [n, d].
    """
    k = min(NEIGHBOURS, len(features) - 1)
    if not k:
        return torch.ones(1)
    parts = []
    for block in features.split(space.BLOCK):
        cosines = (block @ features.T).topk(k + 1, dim=1).values[:, 1:]  # without itself
        parts.append(1 / ((2 - 2 * cosines).clamp(min=0).sqrt().mean(1) + 1e-7))
    return torch.cat(parts)


def select(pool: Pool, budget: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the picks, int64 [budget], and the share of the pool in the cluster of each.

    Args:
        pool: with features of unit length.
        budget: number of picks.
        seed: of the starts of k-means.
    """
    groups = clusters(pool, budget, seed)
    generator = torch.Generator().manual_seed(seed)
    typical: dict[int, Tensor] = {}
    picks = torch.empty_like(groups.order)
    for number, cluster in enumerate(groups.order.tolist()):
        if cluster not in typical:
            members = (groups.of_images == cluster).nonzero()[:, 0]
            if len(members) > MOST_COMPARED:
                members = members[torch.randperm(len(members), generator=generator)]
                members = members[:MOST_COMPARED]
            order = typicalities(pool.features[members]).argsort(descending=True, stable=True)
            typical[cluster] = members[order]
        picks[number] = typical[cluster][0]
        typical[cluster] = typical[cluster][1:]
    return picks, groups.shares
