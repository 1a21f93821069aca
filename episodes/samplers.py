"""Sample indices for training: shuffled batches, N-way k-shot tasks and balanced pairs.

Every sampler depends on its arguments alone: the batch of step 17 does not depend on step 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from episodes.errors import UserError
from episodes.rng import generator


class EpisodeIndices(NamedTuple):
    """Indices of one N-way k-shot task.

    Attributes:
        support: indices of the support images, int64 [n_support].
        support_labels: their labels within the task, from 0 to n_way - 1, int64 [n_support].
        query: indices of the query images, int64 [n_query].
        query_labels: their labels within the task, int64 [n_query].
        classes: label in the data set of each class of the task, int64 [n_way].
    """

    support: Tensor
    support_labels: Tensor
    query: Tensor
    query_labels: Tensor
    classes: Tensor


@lru_cache(maxsize=4)
def _permutation(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=generator(seed, "batches", epoch))


def batch(n: int, size: int, step: int, seed: int) -> Tensor:
    """Return the indices of one shuffled batch.

    Batches are cut from random permutations of 0..n-1 laid end to end. Every batch therefore has
    the same size and every index occurs equally often, whether or not the size divides n.

    Args:
        n: number of images.
        size: images per batch; more than n means n.
        step: number of the batch, from 0.
        seed: seed of the permutations.

    Returns:
        int64 [min(size, n)].
    """
    size = min(size, n)
    epoch, start = divmod(step * size, n)
    order = _permutation(n, seed, epoch)
    if start + size <= n:
        return order[start : start + size]
    return torch.cat([order[start:], _permutation(n, seed, epoch + 1)[: start + size - n]])


def _split_sizes(n_images: int, shots: int, queries: int) -> tuple[int, int]:
    """Return how many of a class's images become support and query images.

    A class with too few images is divided in the proportion of shots to queries.
    """
    if n_images >= shots + queries:
        return shots, queries
    n_support = min(max(1, round(n_images * shots / (shots + queries))), n_images - 1)
    return n_support, n_images - n_support


def episode(
    indices_by_class: Sequence[Tensor],
    n_way: int,
    shots: int,
    queries: int,
    generator: torch.Generator,
    strict: bool = True,
) -> EpisodeIndices:
    """Sample an N-way k-shot task with disjoint support and query and random order of classes.

    Args:
        indices_by_class: indices of each class, as `subsets.by_class` returns them.
        n_way: number of classes of the task.
        shots: support images per class.
        queries: query images per class.
        generator: source of the random choices.
        strict: choose only classes with at least shots + queries images. Otherwise, a smaller class
            contributes all its images, divided in the same proportion, and only classes with fewer
            than two images are excluded.

    Raises:
        UserError: fewer than n_way classes have enough images.

    Source:
        Vinyals et al., Matching Networks for One Shot Learning, arXiv 1606.04080.
    """
    n_needed = shots + queries if strict else 2
    eligible = [label for label, indices in enumerate(indices_by_class) if len(indices) >= n_needed]
    if len(eligible) < n_way:
        raise UserError(
            f"a {n_way}-way episode with {shots} shots and {queries} queries needs {n_way} classes "
            f"of at least {n_needed} images, but only {len(eligible)} classes have that many: "
            "ask for fewer ways, shots or queries."
        )
    classes = torch.tensor(eligible)[torch.randperm(len(eligible), generator=generator)[:n_way]]
    support, query = [], []
    for label in classes.tolist():
        indices = indices_by_class[label]
        n_support, n_query = _split_sizes(len(indices), shots, queries)
        order = torch.randperm(len(indices), generator=generator)[: n_support + n_query]
        support.append(indices[order[:n_support]])
        query.append(indices[order[n_support:]])
    return EpisodeIndices(
        torch.cat(support), _task_labels(support), torch.cat(query), _task_labels(query), classes
    )


def _task_labels(indices_by_class: Sequence[Tensor]) -> Tensor:
    """Return the label within the task, 0 to n_way - 1, of each image, class by class."""
    counts = torch.tensor([len(indices) for indices in indices_by_class])
    return torch.arange(len(indices_by_class)).repeat_interleave(counts)


def pairs(
    indices_by_class: Sequence[Tensor], n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample n pairs of images; the first half have equal classes, the others different ones.

    The two images of a same-class pair differ if the class has at least two. The only image of a
    class is paired with itself, so that two augmented views of it form the pair.

    Args:
        indices_by_class: indices of each class, as `subsets.by_class` returns them.
        n: number of pairs.
        generator: source of the random choices.

    Returns:
        Indices of the left and of the right images, int64 [n], and whether the classes are equal,
        float [n], 1 or 0.

    Raises:
        UserError: fewer than two classes have images.
    """
    classes = [indices for indices in indices_by_class if len(indices) > 0]
    if len(classes) < 2:
        raise UserError("pairs need images of at least two classes: label images of another class.")
    counts = torch.tensor([len(indices) for indices in classes])
    flat, starts = torch.cat(classes), counts.cumsum(0) - counts

    def random_positions(labels: Tensor) -> Tensor:
        """Choose one image of each class in `labels`, as its position within the class."""
        return (torch.rand(len(labels), generator=generator) * counts[labels]).long()

    left_class = torch.randint(len(classes), (n,), generator=generator)
    shift = torch.randint(1, len(classes), (n,), generator=generator)
    other_class = (left_class + shift) % len(classes)
    left = random_positions(left_class)
    # Within a class, a step of 1 to count - 1 from the left image never returns to that image.
    step = 1 + (torch.rand(n, generator=generator) * (counts[left_class] - 1)).long()
    is_same = torch.arange(n) < n // 2
    same_class_right = (left + step) % counts[left_class]
    right = torch.where(is_same, same_class_right, random_positions(other_class))
    right_class = torch.where(is_same, left_class, other_class)
    return flat[starts[left_class] + left], flat[starts[right_class] + right], is_same.float()
