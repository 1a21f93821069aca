"""Cover the pool: each pick is the image that makes the pool most like the nearest labelled image.

The coverage of an image is its largest similarity to a labelled or picked image, and that of the
pool the mean, which a classifier's uncertainty can weight. A pick adds less the more there are, so
gains that were computed before are bounds, and few of them are computed again for a pick.

Source: Bae, Noh and Sutherland, Generalized coverage for more robust low-budget active learning,
2024 (MaxHerding); Minoux, Accelerated greedy algorithms for maximizing submodular set functions,
1978.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewshot.model.suggest import space
from fewshot.model.suggest.picks import Pool

BANDWIDTH = 0.7  # of the kernel, in distances between images of unit length: reports/suggest.md
REFERENCES = 5_000  # images over which coverage is averaged; of more, random ones
AT_ONCE = 32  # gains that are computed again together


def kernel(cosines: Tensor, bandwidth: float) -> Tensor:
    """Return the Gaussian kernel of the distances that belong to cosines."""
    return ((cosines - 1) / bandwidth**2).exp_()


def select(
    pool: Pool, budget: int, seed: int, bandwidth: float | None = None
) -> tuple[Tensor, Tensor]:
    """Return the picks, int64 [budget], and what each added to the coverage, float [budget].

    Args:
        pool: with features of unit length.
        budget: number of picks.
        seed: chooses the images over which coverage is averaged, if there are many.
        bandwidth: of the kernel; None for BANDWIDTH.
    """
    bandwidth = BANDWIDTH if bandwidth is None else bandwidth
    n = len(pool.features)
    generator = torch.Generator().manual_seed(seed)
    at = torch.randperm(n, generator=generator)[:REFERENCES] if n > REFERENCES else slice(None)
    references = pool.features[at]
    covered = torch.zeros(len(references))
    if len(pool.labelled):
        covered = kernel(space.nearest(references, pool.labelled), bandwidth)
    weights = torch.ones(len(references)) if pool.uncertainty is None else pool.uncertainty[at]
    weights = weights / len(references)

    scaled = (references / bandwidth**2).T.contiguous()
    offset = torch.full((len(references),), -1 / bandwidth**2)

    def gains(candidates: Tensor) -> Tensor:
        similar = torch.addmm(offset, candidates, scaled).exp_()  # the kernel
        return similar.sub_(covered).clamp_(min=0) @ weights

    bounds = torch.cat([gains(block) for block in pool.features.split(space.BLOCK)])
    picks = torch.empty(budget, dtype=torch.int64)
    added = torch.empty(budget)
    is_picked = torch.zeros(n, dtype=torch.bool)
    for number in range(budget):
        is_exact = is_picked.clone()
        while not is_exact[best := int(bounds.argmax())]:
            highest = bounds.topk(min(AT_ONCE, n)).indices
            rows = torch.cat([highest, torch.tensor([best])]).unique()  # of equals, topk takes any
            rows = rows[~is_exact[rows]]
            bounds[rows] = gains(pool.features[rows])
            is_exact[rows] = True
        picks[number], added[number] = best, bounds[best]
        similar = kernel(references @ pool.features[best], bandwidth)
        torch.maximum(covered, similar, out=covered)
        is_picked[best], bounds[best] = True, -torch.inf
    return picks, added
