"""Features as the methods of selection compare them: centred, and of unit length."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fewshot.model.suggest.picks import Pool

BLOCK = 1024  # images that are compared with all others at once


def prepared(pool: Pool) -> Pool:
    """Return a pool whose features have mean 0 over all images, and then unit length."""
    centre = torch.cat([pool.features, pool.labelled]).mean(0)
    return pool._replace(
        features=F.normalize(pool.features - centre, dim=1),
        labelled=F.normalize(pool.labelled - centre, dim=1),
    )


def nearest(features: Tensor, others: Tensor) -> Tensor:
    """Return the largest cosine of each image with any of some others, float [n].

    It is -1 if there are none.

    Args:
        features: of unit length, float [n, d].
        others: of unit length, float [m, d].
    """
    largest = torch.full((len(features),), -1.0)
    for block in others.split(BLOCK) if len(others) else ():
        torch.maximum(largest, (features @ block.T).amax(1), out=largest)
    return largest
