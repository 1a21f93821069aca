"""Join images, sampled indices and augmentation into training batches, tasks and pairs.

A stream is a function of the step: `stream(17)` returns the item of step 17, the same one at every
call, so interrupted training resumes without a saved sampler state. Images stay on the device as
uint8 and become float in [0, 1] here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from episodes import samplers
from episodes.augment.mixing import soft_labels
from episodes.augment.pipeline import Augment
from episodes.rng import generator
from episodes.subsets import by_class
from episodes.types import Episode, FeatureSet, ImageSet, Labelled, Pairs


class Pool(NamedTuple):
    """Training images on a device.

    Attributes:
        images: uint8 [n, c, h, w], or `Features` [n, d].
        labels: int64 [n], or float [n, n_classes].
        n_classes: number of classes.
        superclasses: the labels of each superclass, int64 [members]; empty if they are unknown.
    """

    images: Tensor
    labels: Tensor
    n_classes: int
    superclasses: tuple[Tensor, ...] = ()


def as_float(images: Tensor) -> Tensor:
    """Convert uint8 images [n, c, h, w] to float32 in [0, 1]; return features, float, unchanged."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def pool(source: ImageSet | FeatureSet, indices: Tensor, device: torch.device | str) -> Pool:
    """Copy the images, or their features, at `indices` to a device."""
    inputs = source.images if isinstance(source, ImageSet) else source.features
    labels = source.labels[indices].to(device)
    return Pool(inputs[indices].to(device), labels, len(source.classes), superclasses(source))


def superclasses(source: ImageSet | FeatureSet) -> tuple[Tensor, ...]:
    """Return the labels of each superclass, int64 [members]; nothing if they are unknown."""
    groups = source.groups if isinstance(source, ImageSet) else {}
    label_of = {name: label for label, name in enumerate(source.classes)}
    return tuple(torch.tensor([label_of[name] for name in names]) for names in groups.values())


def labelled(
    source: ImageSet | FeatureSet, indices: Tensor, device: torch.device | str
) -> Labelled:
    """Return the images at `indices` as one batch on a device, without augmentation."""
    images, labels, *_ = pool(source, indices, device)
    return Labelled(as_float(images), labels)


def chunks(
    source: ImageSet | FeatureSet, indices: Tensor, size: int, device: torch.device | str
) -> Iterator[Labelled]:
    """Yield the images at `indices` in order, in batches of `size`, so that memory is bounded."""
    for chunk in indices.split(size):
        yield labelled(source, chunk, device)


def append(pool: Pool, share: float, augment: Augment, seed: int, chunk: int = 1024) -> Pool:
    """Add augmented copies of a random share of the images to a pool, once, before training.

    Args:
        pool: the original images, which come first in the result.
        share: number of copies as a fraction of the number of images, from 0 to 1.
        augment: what is applied to the copies.
        seed: seed of the choice of images and of their augmentation.
        chunk: images that are augmented at a time.

    Returns:
        A pool whose labels are float [n, n_classes].

    Source:
        Study row H6: half of the images, which gives a training set of 1.5 times the size.
    """
    n, device = len(pool.labels), pool.images.device
    indices = torch.randperm(n, generator=generator(seed, "append"))[: round(share * n)]
    random = generator(seed, "append-augment", device=device)
    images, labels = [pool.images], [soft_labels(pool.labels, pool.n_classes, pool.images)]
    for rows in indices.to(device).split(chunk):
        augmented, targets = augment(as_float(pool.images[rows]), pool.labels[rows], random)
        images.append(augmented.mul(255).round_().to(torch.uint8))
        labels.append(soft_labels(targets, pool.n_classes, augmented))
    return pool._replace(images=torch.cat(images), labels=torch.cat(labels))


def _smoothed(labels: Tensor, n_classes: int, smoothing: float, images: Tensor) -> Tensor:
    """Mix labels with the uniform distribution (Szegedy et al., arXiv 1512.00567)."""
    if smoothing == 0:
        return labels
    return soft_labels(labels, n_classes, images) * (1 - smoothing) + smoothing / n_classes


def batches(
    pool: Pool,
    size: int,
    augment: Augment,
    seed: int,
    smoothing: float = 0.0,
    shard: tuple[int, int] = (0, 1),
) -> Callable[[int], Labelled]:
    """Return a stream of shuffled, augmented batches.

    Args:
        pool: training images.
        size: images per batch, over all shards; at most the size of the pool.
        augment: applied to each batch.
        seed: seed of the order and of the augmentation.
        smoothing: label smoothing, from 0 to 1.
        shard: (index, count); the stream returns every count-th image of each batch, from the
            index-th on. Processes that train together take one shard each.

    Returns:
        step -> batch of min(size, n) / count images.
    """
    n, device = len(pool.labels), pool.images.device
    size = min(size, n)
    shard_index, n_shards = shard
    # Only the shards after the first add their number, so one process keeps its published numbers.
    shard_purpose = [shard_index] if shard_index else []
    mirrored_first = torch.randint(2, (n,), generator=generator(seed, "first-turn"))
    mirrored_first = mirrored_first.bool().to(device)

    def stream(step: int) -> Labelled:
        indices = samplers.batch(n, size, step, seed)[shard_index::n_shards]
        indices = indices.to(device, non_blocking=True)
        random = generator(seed, "augment", step, *shard_purpose, device=device)
        positions = step * size + torch.arange(shard_index, size, n_shards, device=device)
        epochs = positions // n
        mirror = mirrored_first[indices] ^ (epochs % 2).bool()
        images, labels = augment(
            as_float(pool.images[indices]), pool.labels[indices], random, mirror
        )
        return Labelled(images, _smoothed(labels, pool.n_classes, smoothing, images), indices)

    return stream


def _within_superclass(
    indices_by_class: list[Tensor],
    superclasses: tuple[Tensor, ...],
    share: float,
    random: torch.Generator,
) -> list[Tensor]:
    """Remove, with a probability, the images of all superclasses but a random one.

    Args:
        indices_by_class: indices of each class.
        superclasses: the labels of each superclass.
        share: the probability.
        random: source of the random choices; untouched if the share is 0.

    Returns:
        Indices of each class; empty for the classes of the other superclasses.
    """
    if share == 0 or torch.rand((), generator=random) >= share:
        return indices_by_class
    number = int(torch.randint(len(superclasses), (), generator=random))
    members = set(superclasses[number].tolist())
    return [
        indices if label in members else indices[:0]
        for label, indices in enumerate(indices_by_class)
    ]


def episodes(
    pool: Pool,
    n_way: int,
    shots: int,
    queries: int,
    augment: Augment,
    seed: int,
    smoothing: float = 0.0,
    strict: bool = True,
    within_superclass: float = 0.0,
) -> Callable[[int], Episode]:
    """Return a stream of augmented N-way k-shot tasks.

    Args:
        pool: training images.
        n_way: classes per task.
        shots: support images per class.
        queries: query images per class.
        augment: applied to support and query images.
        seed: seed of the tasks and of the augmentation.
        smoothing: label smoothing of the query labels, from 0 to 1.
        strict: see `samplers.episode`.
        within_superclass: share of the tasks whose classes all come from one superclass; those
            have fewer classes if the superclass has fewer.

    Returns:
        step -> task. Support and query images are disjoint.
    """
    device = pool.images.device
    indices_by_class = by_class(pool.labels.cpu(), pool.n_classes)

    def stream(step: int) -> Episode:
        random = generator(seed, "episodes", step)
        classes = _within_superclass(indices_by_class, pool.superclasses, within_superclass, random)
        ways = n_way if classes is indices_by_class else min(n_way, _n_with_images(classes))
        sampled = samplers.episode(classes, ways, shots, queries, random, strict)
        task = samplers.EpisodeIndices(*(value.to(device, non_blocking=True) for value in sampled))
        n_support = len(task.support)
        indices = torch.cat([task.support, task.query])
        random = generator(seed, "augment", step, device=device)
        images, _ = augment(as_float(pool.images[indices]), pool.labels[indices], random)
        query_labels = _smoothed(task.query_labels, ways, smoothing, images[n_support:])
        return Episode(
            Labelled(images[:n_support], task.support_labels),
            Labelled(images[n_support:], query_labels),
            task.classes,
        )

    return stream


def _n_with_images(indices_by_class: list[Tensor]) -> int:
    return sum(len(indices) > 0 for indices in indices_by_class)


def pairs(
    pool: Pool, size: int, augment: Augment, seed: int, within_superclass: float = 0.0
) -> Callable[[int], Pairs]:
    """Return a stream of same-class and different-class pairs, half of each.

    Args:
        pool: training images.
        size: pairs per batch.
        augment: applied to all images; the two images of a pair are augmented independently.
        seed: seed of the pairs and of the augmentation.
        within_superclass: share of the batches whose classes all come from one superclass.

    Returns:
        step -> `size` pairs.
    """
    device = pool.images.device
    indices_by_class = by_class(pool.labels.cpu(), pool.n_classes)

    def stream(step: int) -> Pairs:
        random = generator(seed, "pairs", step)
        classes = _within_superclass(indices_by_class, pool.superclasses, within_superclass, random)
        left, right, same = samplers.pairs(classes, size, random)
        indices = torch.cat([left, right]).to(device, non_blocking=True)
        random = generator(seed, "augment", step, device=device)
        labels = pool.labels[indices]
        images, _ = augment(as_float(pool.images[indices]), labels, random)
        same = same.to(device, non_blocking=True)
        return Pairs(images[: len(left)], images[len(left) :], same, labels.view(2, -1))

    return stream
