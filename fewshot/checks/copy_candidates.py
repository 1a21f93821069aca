"""Choose the pairs of images that may be copies: neighbours in features and in coarse pixels.

Each image is compared with all others, a block of them at a time, so that memory grows with their
number and not with that of pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

SIDE = 6  # pixels of the coarse images
N_NEIGHBOURS = 4
N_DIRECTIONS, SAMPLE = 128, 4096
CHUNK = 4096  # images whose features are in memory at a time
BLOCK = 256  # images that are compared with all others at a time
LARGEST_BLOCK = 2**24  # similarities


class Projection(NamedTuple):
    """The directions in which features differ most.

    Attributes:
        centre: mean of the features, [d].
        directions: principal directions, [d, at most 128].
    """

    centre: Tensor
    directions: Tensor


class Looks(NamedTuple):
    """Images as candidates are chosen by.

    Attributes:
        even, odd: the coarse images split into the part that a mirror leaves as it is and the one
            that it turns round; together of length 1, float32 [n, d].
        features: centred, projected, of length 1, float32 [n, d].
    """

    even: Tensor
    odd: Tensor
    features: Tensor


class Candidates(NamedTuple):
    """Pairs that may be copies.

    Attributes:
        pairs: positions in the first and in the second images, int64 [m, 2].
        mirrored: whether the second image must be mirrored, bool [m].
    """

    pairs: Tensor
    mirrored: Tensor


def projection(*features: Tensor) -> Projection:
    """Return the projection of features, float32 [n, d] in one or several parts, by a sample."""
    sizes = [len(part) for part in features]
    order = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(0))[:SAMPLE]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    sampled = features[0].new_empty(len(order), features[0].shape[1])
    for part, start in zip(features, starts, strict=True):
        is_inside = (order >= start) & (order < start + len(part))
        sampled[is_inside] = part[order[is_inside] - start]
    centre = sampled.mean(0) if len(sampled) else sampled.new_zeros(sampled.shape[1])
    centred = sampled - centre
    directions = torch.linalg.eigh(centred.T @ centred).eigenvectors
    return Projection(centre, directions[:, -N_DIRECTIONS:])


def looks(images: Tensor, features: Tensor, projection: Projection) -> Looks:
    """Return what candidates are chosen by.

    Args:
        images: uint8 [n, 3, s, s].
        features: float32 [n, d].
        projection: of the features of all images that are compared.
    """
    parts = [_coarse(part) for part in images.split(BLOCK)]
    coarse = torch.cat(parts) if parts else torch.empty(0, 3, SIDE, SIDE)
    coarse = nn.functional.normalize(coarse.flatten(1), dim=1).view_as(coarse)
    mirror = coarse.flip(3)
    projected = [
        (part - projection.centre) @ projection.directions for part in features.split(CHUNK)
    ]
    return Looks(
        ((coarse + mirror) / 2).flatten(1),
        ((coarse - mirror) / 2).flatten(1),
        nn.functional.normalize(torch.cat(projected), dim=1),
    )


def candidates(first: Looks, second: Looks | None = None) -> Candidates:
    """Return pairs of the first and the second images; of the first ones if there are no others."""
    if second is None:
        pairs = _neighbours(first, first, same=True)
        pairs = torch.cat([pairs.amin(1, keepdim=True), pairs.amax(1, keepdim=True)], 1)
        second = first
    else:
        pairs = torch.cat([_neighbours(first, second), _neighbours(second, first).flip(1)])
    pairs = pairs.unique(dim=0)
    return Candidates(pairs, _mirrored(first.odd, second.odd, pairs))


def _neighbours(queries: Looks, others: Looks, same: bool = False) -> Tensor:
    """Return each query with its nearest neighbours by features and by pixels, int64 [m, 2]."""
    n = min(N_NEIGHBOURS, len(others.even) - same)
    if n < 1:
        return torch.empty(0, 2, dtype=torch.int64)
    nearest = torch.empty(len(queries.even), 2, n, dtype=torch.int64)
    size = max(1, min(BLOCK, len(queries.even), LARGEST_BLOCK // len(others.even)))
    # Blocks share their memory: small tensors between large freed ones would fragment the heap.
    memory = torch.empty(2, size, len(others.even))
    for start in range(0, len(queries.even), size):
        block = slice(start, start + size)
        part = nearest[block]
        numbers = torch.arange(len(part))
        similarities, odd = memory[:, : len(part)]
        torch.mm(queries.even[block], others.even.T, out=similarities)
        torch.mm(queries.odd[block], others.odd.T, out=odd)
        similarities.add_(odd.abs_())
        for way in range(2):
            if way == 1:
                torch.mm(queries.features[block], others.features.T, out=similarities)
            if same:
                similarities[numbers, start + numbers] = -torch.inf
            part[:, way] = similarities.topk(n, dim=1).indices
    numbers = torch.arange(len(nearest))[:, None, None].expand_as(nearest)
    return torch.stack([numbers, nearest], -1).flatten(0, 2)


def _mirrored(first: Tensor, second: Tensor, pairs: Tensor) -> Tensor:
    """Return whether the second image of each pair is more alike when it is mirrored."""
    if not len(pairs):
        return torch.empty(0, dtype=torch.bool)
    blocks = pairs.split(BLOCK)
    return torch.cat([(first[one[:, 0]] * second[one[:, 1]]).sum(1) < 0 for one in blocks])


def _coarse(images: Tensor) -> Tensor:
    pixels = nn.functional.adaptive_avg_pool2d(images.float(), SIDE)
    return pixels - pixels.mean((2, 3), keepdim=True)
