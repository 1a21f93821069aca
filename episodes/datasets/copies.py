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

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from episodes.datasets import rows_on_disk

THUMBNAIL = 32  # pixels
COARSE = 8  # pixels of the thumbnails from which signatures are made
N_BITS = 64
MOST_DIFFERENT_BITS = 14
# Numbers of lists and of neighbours of each image in a list. The first round joins most of the
# copies where there are many, so that the second has fewer pairs to compare.
ROUNDS = ((2, 1), (24, 12))
ALIKE, DETAILS = 0.9, 0.6  # correlations of copies where ordinary pictures have none
DETAILED = 0.15  # effective share of the pixels that hold the details of a photograph
PLAIN = 2.0  # standard deviation of the pixels, 0 to 255, below which an image shows nothing
SAMPLED_PAIRS = 32  # ordinary pairs of a class whose correlations are measured
FEWEST_PAIRS = 8  # with fewer pairs in a class, those of all classes count
ORDINARY = 0.4  # quantile of these correlations, which some pairs of copies hardly change
EQUAL = 1e-5  # difference of the correlations of equal images
CHUNK = 1024  # images or pairs
LARGE_CHUNK = 65_536  # coarse thumbnails
MOST_PAIRS = 2**21  # that are collected, before they are compared or those that repeat are removed
CHUNK_PIXELS = 2**20  # of images that are reduced at once, so that they stay in a processor's cache


def clusters_of_copies(images: Sequence[Tensor], labels: Tensor) -> np.ndarray:
    """Return the number of the cluster of each image, int64 [n]; copies share a cluster.

    A cluster has the number of its first image.

    Args:
        images: uint8 [n, 3, h, w], in one or several parts.
        labels: int64 [n], from 0.
    """
    classes = labels.numpy()
    images = [reduced(part) for part in images]
    coarse, is_plain = _coarse(images)
    measures = (
        Measure(lambda indices: coarse[indices], ALIKE, classes),
        Measure(lambda indices: _unit(_centred(_thumbnails(images, indices))), ALIKE, classes),
        Measure(lambda indices: _unit(_details(_thumbnails(images, indices))), DETAILS, classes),
    )
    clusters = np.arange(len(classes))
    lists, links = _Lists(coarse, np.flatnonzero(~is_plain)), np.empty((0, 2), dtype=np.int64)
    for n_lists, n_neighbours in ROUNDS:
        pairs = lists.candidates(n_lists, n_neighbours, clusters, measures[0])
        room = _detailed(images, pairs).clip(max=DETAILED) ** 2 / DETAILED**2
        for measure in measures[1:]:
            passes = measure.passes(pairs, room)
            pairs, room = pairs[passes], room[passes]
        if len(pairs):
            links = np.concatenate([links, pairs])
            clusters = joined(links, len(classes))
    return clusters


class Measure:
    """The correlation of one view of two images, compared with that of ordinary pairs.

    Args:
        view: positions -> vectors of length 1.
        least: least correlation of copies where ordinary pictures have none.
        classes: class of each image, int64 [n].

    Attributes:
        usual: correlation of ordinary pairs of each class, at least 0, [n_classes].
    """

    def __init__(self, view: Callable[[Tensor], Tensor], least: float, classes: np.ndarray) -> None:
        self.view, self.least, self.classes = view, least, classes
        pairs = ordinary_pairs(classes)
        correlations = self.correlations(pairs)
        overall = np.quantile(correlations, ORDINARY) if len(pairs) else 0.0
        self.usual = np.full(classes.max() + 1, overall).clip(0)
        of_pairs = classes[pairs[:, 0]]
        for label in np.flatnonzero(np.bincount(of_pairs) >= FEWEST_PAIRS):
            of_class = correlations[of_pairs == label]
            self.usual[label] = max(0.0, np.quantile(of_class, ORDINARY))

    def passes(self, pairs: np.ndarray, room: np.ndarray | float = 1.0) -> np.ndarray:
        """Return whether the two images of each pair are alike enough, bool [m].

        Args:
            pairs: int64 [m, 2].
            room: factor of the difference that copies may have, [m].
        """
        usual = self.usual[self.classes[pairs]].max(1)
        most = (1 - self.least) * (1 - usual) ** 2 * room
        return np.asarray(1 - self.correlations(pairs) <= np.maximum(most, EQUAL), dtype=bool)

    def correlations(self, pairs: np.ndarray) -> np.ndarray:
        """Return the correlation of the view of both images of each pair, float32 [m]."""
        values = torch.empty(len(pairs))
        for chunk, place in _chunks(pairs, values):
            torch.sum(self.view(chunk[:, 0]) * self.view(chunk[:, 1]), 1, out=place)
        return values.numpy()


def joined(pairs: np.ndarray, n: int) -> np.ndarray:
    """Return the number of the cluster of each of n images, int64 [n], from pairs [m, 2] in one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), dtype=bool), pairs.T), shape=(n, n))
    _, components = connected_components(links, directed=False)
    first = np.unique(components, return_index=True)[1]
    return np.asarray(first[components], dtype=np.int64)


def _coarse(images: Sequence[Tensor]) -> tuple[Tensor, np.ndarray]:
    """Return coarse thumbnails of length 1, float32 [n, d], and whether an image is plain [n]."""
    is_plain = torch.empty(sum(map(len, images)), dtype=torch.bool)

    def chunks() -> Iterator[np.ndarray]:
        start = 0
        for chunk in (chunk for part in images for chunk in part.split(CHUNK)):
            pixels = _centred(nn.functional.adaptive_avg_pool2d(chunk.float(), COARSE))
            # Into one array, for the reason that `_chunks` gives.
            torch.lt(pixels.flatten(1).std(1), PLAIN, out=is_plain[start : start + len(chunk)])
            start += len(chunk)
            yield _unit(pixels).numpy()

    coarse = rows_on_disk.joined(chunks(), len(is_plain))
    return torch.from_numpy(coarse), is_plain.numpy()


class _Lists:
    """Sorted lists of signatures, in which copies are neighbours.

    A bit of a signature is the side of a random plane on which a coarse thumbnail lies. Each list
    is sorted by the signatures with their bits in another order.

    Args:
        coarse: coarse thumbnails, float32 [n, d].
        indices: those that are compared, int64 [m].
    """

    def __init__(self, coarse: Tensor, indices: np.ndarray) -> None:
        self.random = torch.Generator().manual_seed(0)
        self.indices = indices
        directions = torch.randn(coarse.shape[1], N_BITS, generator=self.random)
        sums = [part.sum(0, dtype=torch.float64) for part in _selected(coarse, indices)]
        mean = (torch.stack(sums).sum(0) / max(1, len(indices))).float()
        parts = _selected(coarse, indices)
        bits = ((part.sub_(mean) @ directions > 0).numpy() for part in parts)
        self.bits = rows_on_disk.joined(bits, len(indices))
        self.signatures = _packed(self.bits)

    def candidates(
        self, n_lists: int, n_neighbours: int, clusters: np.ndarray, measure: Measure
    ) -> np.ndarray:
        """Return pairs from the next lists that may be copies, the smaller index first.

        Args:
            n_lists: number of lists.
            n_neighbours: number of neighbours of each image in a list.
            clusters: cluster of each image, int64 [n]; pairs of one cluster are left out.
            measure: pairs that do not pass it are left out.

        Returns:
            int64 [pairs, 2].
        """
        keys = [np.empty(0, dtype=np.int64)]
        for _ in range(n_lists):
            for pairs in _pieces(self._of_a_list(n_neighbours, clusters)):
                passing = np.sort(pairs[measure.passes(pairs)], axis=1)
                keys.append(passing[:, 0] * len(clusters) + passing[:, 1])
            if sum(map(len, keys)) > MOST_PAIRS:  # lists have many pairs in common
                keys = [np.unique(np.concatenate(keys))]
        return np.stack(np.divmod(np.unique(np.concatenate(keys)), len(clusters)), 1)

    def _of_a_list(self, n_neighbours: int, clusters: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the neighbours in the next list whose signatures differ little, int64 [m, 2]."""
        permutation = torch.randperm(N_BITS, generator=self.random).numpy()
        order = np.argsort(_packed(self.bits[:, permutation]), kind="stable")
        signatures, images = self.signatures[order], self.indices[order]
        for shift in range(1, min(n_neighbours, len(order) - 1) + 1):
            differing = np.bitwise_count(signatures[shift:] ^ signatures[:-shift])
            near = np.flatnonzero(differing <= MOST_DIFFERENT_BITS)
            pairs = np.stack([images[near], images[near + shift]], 1)
            yield pairs[clusters[pairs[:, 0]] != clusters[pairs[:, 1]]]


def _selected(rows: Tensor, indices: np.ndarray) -> Iterator[Tensor]:
    """Yield some rows at a time, in one array that the next ones replace: see `_chunks`."""
    room = rows.new_empty(min(len(indices), LARGE_CHUNK), rows.shape[1])
    for chunk in torch.from_numpy(indices).split(LARGE_CHUNK):
        part = room[: len(chunk)]
        yield torch.index_select(rows, 0, chunk, out=part)


def _pieces(parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Join pairs until they are many, so that there are few pieces and each has a bounded size."""
    pending: list[np.ndarray] = []
    for part in parts:
        pending.append(part)
        if sum(map(len, pending)) > MOST_PAIRS:
            yield np.concatenate(pending)
            pending = []
    if pending:
        yield np.concatenate(pending)


def _packed(bits: np.ndarray) -> np.ndarray:
    """Return bits, bool [n, 64], as numbers, uint64 [n]."""
    packed = np.ascontiguousarray(np.packbits(bits, axis=1)).view(">u8")
    return np.asarray(packed[:, 0], dtype=np.uint64)


def ordinary_pairs(classes: np.ndarray) -> np.ndarray:
    """Return a few pairs of images of each class, int64 [m, 2]."""
    random = np.random.default_rng(0)
    order = np.lexsort((random.permutation(len(classes)), classes))
    place = np.arange(len(classes)) - np.searchsorted(classes[order], classes[order])
    sampled = order[place <= SAMPLED_PAIRS]
    is_pair = classes[sampled[:-1]] == classes[sampled[1:]]
    return np.compress(is_pair, np.stack([sampled[:-1], sampled[1:]], 1), axis=0)


def _chunks(pairs: np.ndarray, values: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield some pairs at a time with the part of the result that they fill.

    Small results that were collected would lie between large temporary arrays, in whose gaps the
    next one does not fit.
    """
    if len(pairs):
        yield from zip(torch.from_numpy(pairs).split(CHUNK), values.split(CHUNK), strict=True)


def reduced(images: Tensor) -> Tensor:
    """Return images uint8 [n, 3, h, w] at no more than 32 pixels, uint8 [n, 3, h, w]."""
    if images.shape[-1] <= THUMBNAIL:
        return images
    size = max(1, CHUNK_PIXELS // images[0].numel()) if len(images) else 1
    pool = nn.functional.adaptive_avg_pool2d
    parts = (
        pool(part.float(), THUMBNAIL).round_().to(torch.uint8).numpy()
        for part in images.split(size)
    )
    return torch.from_numpy(rows_on_disk.joined(parts, len(images)))


def _thumbnails(images: Sequence[Tensor], indices: Tensor) -> Tensor:
    """Return some of the reduced images, float [m, 3, h, w]."""
    pixels = torch.empty(len(indices), *images[0].shape[1:], dtype=torch.uint8)
    start = 0
    for part in images:
        is_inside = (indices >= start) & (indices < start + len(part))
        pixels[is_inside] = part[indices[is_inside] - start]
        start += len(part)
    return pixels.float()


def _centred(pixels: Tensor) -> Tensor:
    return pixels - pixels.mean((2, 3), keepdim=True)


def _details(pixels: Tensor) -> Tensor:
    """Return what a blur of 3 x 3 pixels takes away."""
    padded = nn.functional.pad(pixels, (1, 1, 1, 1), mode="replicate")
    return pixels - nn.functional.avg_pool2d(padded, 3, 1)


def _detailed(images: Sequence[Tensor], pairs: np.ndarray) -> np.ndarray:
    """Return the effective share of the pixels that hold the details of both images, [m].

    It is the participation ratio of their energy: 1 if every pixel has as much of it.
    """
    shares = torch.empty(len(pairs))
    for chunk, place in _chunks(pairs, shares):
        of_both = []
        for indices in chunk.T:
            energy = _details(_thumbnails(images, indices)).flatten(1) ** 2
            ratio = energy.sum(1) ** 2 / (energy**2).sum(1).clamp_min(1e-9) / energy.shape[1]
            of_both.append(ratio)
        torch.minimum(*of_both, out=place)
    return shares.numpy()


def _unit(pixels: Tensor) -> Tensor:
    """Return images as vectors of length 1, [n, d]."""
    return nn.functional.normalize(pixels.flatten(1), dim=1)
