"""Copies among images: the same picture twice, also re-encoded, resized or with a little noise.

Two pictures are copies if both their shapes and their fine details agree: the correlations of
their thumbnails, and of what a blur takes away from the thumbnails, are far above those of two
ordinary pictures of the class. The details distinguish pictures with plain backgrounds. The
comparison with the class distinguishes pictures of a fixed camera, which are all much alike. Where
few pixels hold the details, as in drawings, the correlations must be higher.

Candidates are pairs whose signatures are neighbours in one of several sorted lists, so that time
and memory grow with the number of images and not with that of pairs.

Source: Charikar, Similarity estimation techniques from rounding algorithms, 2002 (signatures);
Manku, Jain and Das Sarma, Detecting near-duplicates for web crawling, 2007 (sorted lists).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

THUMBNAIL = 32  # pixels
COARSE = 8  # pixels of the thumbnails from which signatures are made
N_BITS = 64
MOST_DIFFERENT_BITS = 14
N_LISTS = 24
N_NEIGHBOURS = 12  # of each image in each list
ALIKE, DETAILS = 0.9, 0.6  # correlations of copies where ordinary pictures have none
DETAILED = 0.15  # effective share of the pixels that hold the details of a photograph
PLAIN = 2.0  # standard deviation of the pixels, 0 to 255, below which an image shows nothing
SAMPLED_PAIRS = 32  # ordinary pairs of a class whose correlations are measured
FEWEST_PAIRS = 8  # with fewer pairs in a class, those of all classes count
CHUNK = 1024  # images or pairs


def clusters_of_copies(images: Tensor, labels: Tensor) -> np.ndarray:
    """Return the number of the cluster of each image, int64 [n]; copies share a cluster.

    A cluster has the number of its first image.

    Args:
        images: uint8 [n, 3, h, w].
        labels: int64 [n], from 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    classes = labels.numpy()
    coarse, is_plain = _coarse(images)
    ordinary = _ordinary_pairs(classes)
    pairs = _candidates(coarse, np.flatnonzero(~is_plain))
    measures: tuple[tuple[Callable[[Tensor], Tensor], float], ...] = (
        (lambda indices: coarse[indices], ALIKE),
        (lambda indices: _unit(_centred(_thumbnails(images[indices]))), ALIKE),
        (lambda indices: _unit(_details(_thumbnails(images[indices]))), DETAILS),
    )
    room = np.ones(len(pairs))
    for number, (view, least) in enumerate(measures):
        usual = _usual(_correlations(view, ordinary), ordinary, classes)
        differing = 1 - _correlations(view, pairs)
        passes = differing <= (1 - least) * room * (1 - usual[classes[pairs]].max(1)) ** 2
        pairs, room = pairs[passes], room[passes]
        if number == 0:  # of the few pairs that are left
            room = _detailed(images, pairs).clip(max=DETAILED) ** 2 / DETAILED**2
    links = coo_array((np.ones(len(pairs), dtype=bool), pairs.T), shape=(len(images), len(images)))
    _, components = connected_components(links, directed=False)
    first = np.unique(components, return_index=True)[1]
    return first[components].astype(np.int64)


def _coarse(images: Tensor) -> tuple[Tensor, np.ndarray]:
    """Return coarse thumbnails of length 1, float32 [n, d], and whether an image is plain [n]."""
    coarse, is_plain = [], []
    for chunk in images.split(CHUNK):
        pixels = nn.functional.adaptive_avg_pool2d(chunk.float(), COARSE)
        is_plain.append(_centred(pixels).flatten(1).std(1) < PLAIN)
        coarse.append(_unit(_centred(pixels)))
    return torch.cat(coarse), torch.cat(is_plain).numpy()


def _candidates(coarse: Tensor, indices: np.ndarray) -> np.ndarray:
    """Return pairs among some images that may be copies, int64 [m, 2], the smaller index first.

    A bit of a signature is the side of a random plane on which a coarse thumbnail lies. Each list
    is sorted by the signatures with their bits in another order.
    """
    random = torch.Generator().manual_seed(0)
    directions = torch.randn(coarse.shape[1], N_BITS, generator=random)
    chosen = coarse[torch.from_numpy(indices)]
    bits = ((chosen - chosen.mean(0)) @ directions > 0).numpy()
    signatures, n = _packed(bits), len(indices)
    keys = [np.empty(0, dtype=np.int64)]  # of pairs
    for _ in range(N_LISTS):
        order = np.argsort(_packed(bits[:, torch.randperm(N_BITS, generator=random).numpy()]))
        in_order = signatures[order]
        for shift in range(1, min(N_NEIGHBOURS, n - 1) + 1):
            differing = np.bitwise_count(in_order[shift:] ^ in_order[:-shift])
            near = np.flatnonzero(differing <= MOST_DIFFERENT_BITS)
            first, second = order[near], order[near + shift]
            keys.append(np.minimum(first, second) * n + np.maximum(first, second))
    pairs = np.stack(np.divmod(np.unique(np.concatenate(keys)), max(n, 1)), 1)
    return indices[pairs]


def _packed(bits: np.ndarray) -> np.ndarray:
    """Return bits, bool [n, 64], as numbers, uint64 [n]."""
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(">u8")[:, 0].astype(np.uint64)


def _ordinary_pairs(classes: np.ndarray) -> np.ndarray:
    """Return a few pairs of images of each class, int64 [m, 2]."""
    random = np.random.default_rng(0)
    order = np.lexsort((random.permutation(len(classes)), classes))
    place = np.arange(len(classes)) - np.searchsorted(classes[order], classes[order])
    sampled = order[place <= SAMPLED_PAIRS]
    is_pair = classes[sampled[:-1]] == classes[sampled[1:]]
    return np.stack([sampled[:-1], sampled[1:]], 1)[is_pair]


def _usual(correlations: np.ndarray, pairs: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the median correlation of ordinary pairs of each class, at least 0, [n_classes]."""
    overall = np.median(correlations) if len(correlations) else 0.0
    medians = np.full(classes.max() + 1, overall)
    of_pairs = classes[pairs[:, 0]]
    for label in np.flatnonzero(np.bincount(of_pairs) >= FEWEST_PAIRS):
        medians[label] = np.median(correlations[of_pairs == label])
    return medians.clip(0)


def _correlations(view: Callable[[Tensor], Tensor], pairs: np.ndarray) -> np.ndarray:
    """Return the correlation of a view of both images of each pair, float32 [m]."""
    values = [np.empty(0, dtype=np.float32)]
    for chunk in _chunks(pairs):
        values.append((view(chunk[:, 0]) * view(chunk[:, 1])).sum(1).numpy())
    return np.concatenate(values)


def _chunks(pairs: np.ndarray) -> Iterator[Tensor]:
    return iter(torch.from_numpy(pairs).split(CHUNK)) if len(pairs) else iter(())


def _thumbnails(images: Tensor) -> Tensor:
    """Return images of at most 32 pixels, float [n, 3, h, w]."""
    pixels = images.float()
    if pixels.shape[-1] > THUMBNAIL:
        pixels = nn.functional.adaptive_avg_pool2d(pixels, THUMBNAIL)
    return pixels


def _centred(pixels: Tensor) -> Tensor:
    return pixels - pixels.mean((2, 3), keepdim=True)


def _details(pixels: Tensor) -> Tensor:
    """Return what a blur of 3 x 3 pixels takes away."""
    padded = nn.functional.pad(pixels, (1, 1, 1, 1), mode="replicate")
    return pixels - nn.functional.avg_pool2d(padded, 3, 1)


def _detailed(images: Tensor, pairs: np.ndarray) -> np.ndarray:
    """Return the effective share of the pixels that hold the details of both images, [m].

    It is the participation ratio of their energy: 1 if every pixel has as much of it.
    """
    shares = [np.empty(0, dtype=np.float32)]
    for chunk in _chunks(pairs):
        of_both = []
        for indices in chunk.T:
            energy = _details(_thumbnails(images[indices])).flatten(1) ** 2
            ratio = energy.sum(1) ** 2 / (energy**2).sum(1).clamp_min(1e-9) / energy.shape[1]
            of_both.append(ratio)
        shares.append(torch.minimum(*of_both).numpy())
    return np.concatenate(shares)


def _unit(pixels: Tensor) -> Tensor:
    """Return images as vectors of length 1, [n, d]."""
    return nn.functional.normalize(pixels.flatten(1), dim=1)
