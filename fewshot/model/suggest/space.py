"""Features as the methods of selection compare them: centred, of unit length, few numbers each."""

from __future__ import annotations

import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor
from torch.nn import functional as F

from fewshot.model.suggest.picks import Pool

BLOCK = 256  # images that are compared with all others at once
DIRECTIONS = 128  # numbers that describe an image: comparisons take a time proportional to it
CHUNK = 4096  # images whose features are in memory at a time
SAMPLE = 5_000  # images from which these directions are found


def prepared(pool: Pool) -> Pool:
    """Return a pool whose features have mean 0 over all images, and then unit length.

    Longer features are projected on the DIRECTIONS in which they vary most, and scaled to unit
    length again.
    """
    parts = (pool.features, pool.labelled)
    sums = [chunk.sum(0) for part in parts for chunk in part.split(CHUNK)]
    centre = torch.stack(sums).sum(0) / sum(map(len, parts))
    axes = _directions(pool.features, centre) if min(pool.features.shape) > DIRECTIONS else None

    def in_space(chunk: Tensor) -> Tensor:
        unit = F.normalize(chunk - centre, dim=1)
        return unit if axes is None else F.normalize(unit @ axes, dim=1)

    features, labelled = (
        torch.cat([in_space(chunk) for chunk in part.split(CHUNK)]) for part in parts
    )
    return pool._replace(features=features, labelled=labelled)


def _directions(features: Tensor, centre: Tensor) -> Tensor:
    """Return the first right singular vectors of features [n, d] as columns, [d, DIRECTIONS].

    They are those of a sample, after `centre` is subtracted and at unit length.
    """
    generator = torch.Generator().manual_seed(0)
    sample = features[torch.randperm(len(features), generator=generator)[:SAMPLE]]
    unit = F.normalize(sample - centre, dim=1)
    _, _, axes = randomized_svd(unit.numpy(), DIRECTIONS, n_iter=3, random_state=0)
    return torch.from_numpy(axes.T.copy())


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
