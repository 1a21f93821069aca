"""Joins images, indices and augmentation into batches and episodes.

A stream is a function of the step: `stream(17)` is the item of step 17, the same whenever it is asked for, so
an interrupted training resumes without saved sampler state. Images stay on the device as uint8 and become
float in [0, 1] here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from episodes import samplers
from episodes.augment.mixing import soft
from episodes.rng import generator
from episodes.subsets import by_class
from episodes.types import Episode, ImageSet, Labelled, Pairs

Augment = Callable[..., tuple[Tensor, Tensor]]  # as of `augment.build`


class Pool(NamedTuple):
    """Training images on a device: images uint8 [n, c, h, w]; labels int64 [n] or float [n, n_classes]."""

    images: Tensor
    labels: Tensor
    n_classes: int


def as_float(images: Tensor) -> Tensor:
    """uint8 [n, c, h, w] as float32 in [0, 1]; features, float [n, d], as they are."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def pool(images: ImageSet, indices: Tensor, device: torch.device | str) -> Pool:
    """The images at `indices`, copied to the device once."""
    return Pool(
        images.images[indices].to(device), images.labels[indices].to(device), len(images.classes)
    )


def labelled(images: ImageSet, indices: Tensor, device: torch.device | str) -> Labelled:
    """The images at `indices` as one batch."""
    taken = pool(images, indices, device)
    return Labelled(as_float(taken.images), taken.labels)


def chunks(
    images: ImageSet, indices: Tensor, size: int, device: torch.device | str
) -> Iterator[Labelled]:
    """The images at `indices` in batches of `size`, in order: bounded memory for any number."""
    for part in indices.split(size):
        yield labelled(images, part, device)


def append(taken: Pool, share: float, augment: Augment, seed: int, chunk: int = 1024) -> Pool:
    """The pool and, behind it, a share of its images picked at random and transformed once.

    Labels become float [n, n_classes]. Source: study row H6 (half of the images, a set of 1.5 times the size).
    """
    n = len(taken.labels)
    order = torch.randperm(n, generator=generator(seed, "append"))[: round(share * n)]
    draw = generator(seed, "append-augment", device=taken.images.device)
    images, labels = [taken.images], [soft(taken.labels, taken.n_classes, taken.images)]
    for part in order.to(taken.images.device).split(chunk):
        changed, mixed = augment(as_float(taken.images[part]), taken.labels[part], draw)
        images.append(changed.mul(255).round_().to(torch.uint8))
        labels.append(soft(mixed, taken.n_classes, changed))
    return Pool(torch.cat(images), torch.cat(labels), taken.n_classes)


def _smoothed(labels: Tensor, n_classes: int, smoothing: float, images: Tensor) -> Tensor:
    """Labels mixed with the uniform distribution (Szegedy et al., arXiv 1512.00567)."""
    return (
        labels
        if smoothing == 0
        else soft(labels, n_classes, images) * (1 - smoothing) + smoothing / n_classes
    )


def batches(
    taken: Pool,
    size: int,
    augment: Augment,
    seed: int,
    smoothing: float = 0.0,
    part: tuple[int, int] = (0, 1),
) -> Callable[[int], Labelled]:
    """Shuffled, augmented batches of min(size, n) images; part (i, n): every n-th image of each, from the i-th on."""
    n, device = len(taken.labels), taken.images.device
    first = torch.randint(2, (n,), generator=generator(seed, "first-turn")).bool().to(device)
    number, parts = part

    def stream(step: int) -> Labelled:
        indices = samplers.batch(n, size, step, seed)[number::parts].to(device, non_blocking=True)
        draw = generator(seed, "augment", step, *([number] if number else []), device=device)
        passes = (
            step * min(size, n) + torch.arange(number, min(size, n), parts, device=device)
        ) // n
        turn = first[indices] ^ (passes % 2).bool()
        images, labels = augment(as_float(taken.images[indices]), taken.labels[indices], draw, turn)
        return Labelled(images, _smoothed(labels, taken.n_classes, smoothing, images), indices)

    return stream


def episodes(
    taken: Pool,
    n_way: int,
    shots: int,
    queries: int,
    augment: Augment,
    seed: int,
    smoothing: float = 0.0,
    strict: bool = True,
) -> Callable[[int], Episode]:
    """N-way k-shot tasks from the pool, support and query disjoint, both augmented."""
    device = taken.images.device
    members = by_class(taken.labels.cpu(), taken.n_classes)

    def stream(step: int) -> Episode:
        drawn = samplers.episode(
            members, n_way, shots, queries, generator(seed, "episodes", step), strict
        )
        drawn = samplers.EpisodeIndices(*(part.to(device, non_blocking=True) for part in drawn))
        n_support = len(drawn.support)
        both = torch.cat([drawn.support, drawn.query])
        draw = generator(seed, "augment", step, device=device)
        images, _ = augment(as_float(taken.images[both]), taken.labels[both], draw)
        query_labels = _smoothed(drawn.query_labels, n_way, smoothing, images[n_support:])
        return Episode(
            Labelled(images[:n_support], drawn.support_labels),
            Labelled(images[n_support:], query_labels),
            drawn.classes,
        )

    return stream


def pairs(taken: Pool, size: int, augment: Augment, seed: int) -> Callable[[int], Pairs]:
    """Balanced same-different pairs; each side of a pair is augmented by itself."""
    device = taken.images.device
    members = by_class(taken.labels.cpu(), taken.n_classes)

    def stream(step: int) -> Pairs:
        left, right, same = samplers.pairs(members, size, generator(seed, "pairs", step))
        both = torch.cat([left, right]).to(device, non_blocking=True)
        draw = generator(seed, "augment", step, device=device)
        labels = taken.labels[both]
        images, _ = augment(as_float(taken.images[both]), labels, draw)
        same = same.to(device, non_blocking=True)
        return Pairs(images[: len(left)], images[len(left) :], same, labels.view(2, -1))

    return stream
