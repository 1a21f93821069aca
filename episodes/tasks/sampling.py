"""Sample many tasks at once, of equal shape, as indices of images.

Tasks are sampled in blocks of `BLOCK`, each with random generators of its own, and the numbers of a
block are drawn for all of its tasks. So a task depends on the seed and on its position, but not on
how many tasks follow. Tasks of one seed that differ in their shots alone have the same classes, and
their supports are nested. Tasks that differ in the division of their queries alone have the same
classes and the same supports.

Capital suffixes name the dimensions: T tasks of a block, W classes of a task, R = T * W rows (a row
is one class of one task), K images of a row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from episodes.errors import UserError
from episodes.rng import generator
from episodes.tasks.task_set import TaskSet, joined

BLOCK = 1000  # tasks; other blocks would give other tasks

Balance = Literal["balanced", "dirichlet", "missing"]


def fixed(
    labels: Tensor,
    *,
    ways: int,
    shots: int,
    queries: int,
    count: int,
    seed: int,
    balance: Balance = "balanced",
    concentration: float = 2.0,
    missing: int = 1,
    names: Sequence[str] = (),
) -> TaskSet:
    """Sample tasks with fixed numbers of classes, support images and query images.

    The classes of a task and the images of a class are distinct and equally likely; different tasks
    may share images. A task has ways * queries queries, which `balance` divides among its classes:

    - "balanced": equally;
    - "dirichlet": by shares from a symmetric Dirichlet distribution, rounded to whole images by the
      method of largest remainders;
    - "missing": equally, up to one image, among all but `missing` random classes of the task.

    Args:
        labels: class of each image of the pool, int64 [n]. All classes from 0 to the largest take
            part.
        ways: classes of a task.
        shots: support images per class.
        queries: query images per class, in the mean.
        count: number of tasks.
        seed: seed of the tasks.
        balance: how queries are divided among the classes.
        concentration: concentration of the Dirichlet distribution.
        missing: classes without queries, if `balance` is "missing".
        names: class names, for messages.

    Returns:
        The tasks. Their classes are in random order, and their images class by class.

    Raises:
        UserError: there are too few classes, or a class has too few images.

    Source:
        Vinyals et al. 2016 (arXiv 1606.04080) for balanced tasks; Veilleux et al. 2021 (arXiv
        2204.11181), section 3, for the Dirichlet distribution.
    """
    sizes = torch.bincount(labels)
    present = ways - (missing if balance == "missing" else 0)
    if present < 1:
        raise UserError(
            f"missing={missing} leaves no class with queries in a task of {ways} ways: choose a "
            "smaller number."
        )
    fewest = 1 if balance == "dirichlet" else -(-ways * queries // present)
    check_classes(sizes, ways, shots + fewest, names)
    order, starts = torch.argsort(labels, stable=True), sizes.cumsum(0) - sizes
    blocks = []
    for block in range(-(-count // BLOCK)):
        n_tasks = min(BLOCK, count - block * BLOCK)
        random = generator(seed, "task classes", block)
        numbers_WT = torch.rand(ways, BLOCK, generator=random, dtype=torch.float64)
        classes_TW = distinct(torch.full((BLOCK,), len(sizes)), numbers_WT).T[:n_tasks]
        random = generator(seed, "task queries", block)
        counts_TW = _query_counts(ways, queries, balance, concentration, missing, random)[:n_tasks]
        classes_R, needs_R = classes_TW.reshape(-1), shots + counts_TW.reshape(-1)
        _check_needs(sizes, classes_R, needs_R, names)
        random = generator(seed, "task images", block)
        numbers_KR = torch.stack(
            [
                torch.rand(BLOCK * ways, generator=random, dtype=torch.float64)[: len(classes_R)]
                for _ in range(int(needs_R.max()))
            ]
        )
        places_KR = distinct(sizes[classes_R], numbers_KR, needs_R)
        images_RK = order[(starts[classes_R] + places_KR).T]
        blocks.append(_assembled(images_RK, classes_TW, counts_TW, shots))
    return joined(blocks)


def without_replacement(
    labels: Tensor,
    *,
    ways: int,
    shots: int,
    queries: int,
    seed: int,
) -> TaskSet:
    """Sample as many balanced tasks as possible of which no two have an image in common.

    The accuracies of such tasks are independent for given classes, so that their interval is one
    for other images, too. Each class is cut at random into portions of shots + queries images, and
    each task gets a portion of `ways` classes. Classes are chosen at random, the more likely the
    more portions they have left, and surely if the last tasks could otherwise not be filled.

    Args:
        labels: class of each image of the pool, int64 [n]. Classes with too few images for one task
            take no part.
        ways: classes of a task.
        shots: support images per class.
        queries: query images per class.
        seed: seed of the tasks.

    Returns:
        The tasks. Their classes are in random order, and their images class by class.

    Raises:
        UserError: fewer than `ways` classes have enough images for one task.

    Source:
        Lafargue et al. 2024, arXiv 2409.02850.
    """
    portion = shots + queries
    sizes = torch.bincount(labels)
    n_enough = int((sizes >= portion).sum())
    if n_enough < ways:
        raise UserError(
            f"a task with {ways} ways, {shots} shots and {queries} queries needs {portion} images "
            f"of {ways} classes, but only {n_enough} classes have so many: ask for fewer."
        )
    random = generator(seed, "tasks without replacement")
    images = [
        indices[torch.randperm(len(indices), generator=random)]
        for indices in torch.argsort(labels, stable=True).split(sizes.tolist())
    ]
    left = sizes // portion
    classes_TW = _schedule(left, ways, random)
    used = torch.zeros_like(left)
    rows = []
    for label in classes_TW.flatten().tolist():
        start = int(used[label]) * portion
        rows.append(images[label][start : start + portion])
        used[label] += 1
    counts_TW = torch.full_like(classes_TW, queries)
    return _assembled(torch.stack(rows), classes_TW, counts_TW, shots)


def _schedule(portions: Tensor, ways: int, random: torch.Generator) -> Tensor:
    """Choose the classes of as many tasks as possible.

    t tasks are possible if and only if min(portions, t), summed over classes, is at least t * ways.
    That stays true for the tasks to come if every task takes all classes that have a portion for
    each of them.

    Args:
        portions: how many tasks each class can be in, int64 [n_classes].
        ways: classes of a task.
        random: chooses among the classes.

    Returns:
        int64 [tasks, ways].
    """
    n_possible = bisect_left(
        range(1, int(portions.sum()) // ways + 1),
        True,
        key=lambda t: int(portions.clamp(max=t).sum()) < t * ways,
    )
    left = portions.clone()
    tasks = []
    for n_tasks in range(n_possible, 0, -1):
        # The smallest of exponential variables with rates w: class c with probability w_c / sum(w).
        times = torch.empty(len(left), dtype=torch.float64).exponential_(generator=random) / left
        order = times.argsort()
        must = left[order] >= n_tasks
        chosen = torch.cat([order[must], order[~must]])[:ways]
        left[chosen] -= 1
        tasks.append(chosen[torch.randperm(ways, generator=random)])
    return torch.stack(tasks)


def distinct(sizes_R: Tensor, numbers_KR: Tensor, needs_R: Tensor | None = None) -> Tensor:
    """Turn uniform numbers into distinct places: in each column, a random sequence without repeats.

    The k-th number of a column chooses among the places that its first k - 1 numbers left (a Lehmer
    code), and every sequence is equally likely. From the last number to the first, numbers at or
    above a chosen place move up by one, which turns positions among the places left into places.

    Args:
        sizes_R: number of places of each column, int64 [r].
        numbers_KR: numbers in [0, 1), float64 [k, r].
        needs_R: how many places each column needs, int64 [r], at most its size; None for all k.
            Entries beyond are 0.

    Returns:
        int64 [k, r], each from 0 to its column's size - 1.
    """
    n_places = len(numbers_KR)
    steps_K1 = torch.arange(n_places)[:, None]
    left_KR = (sizes_R - steps_K1).clamp(min=0)
    if needs_R is not None:
        left_KR = left_KR * (steps_K1 < needs_R)
    places_KR = (numbers_KR * left_KR).to(torch.int32)
    for k in range(n_places - 2, -1, -1):
        later = places_KR[k + 1 :]
        later += later >= places_KR[k]
    if needs_R is not None:
        places_KR *= steps_K1 < needs_R
    return places_KR.long()


def _query_counts(
    ways: int,
    queries: int,
    balance: Balance,
    concentration: float,
    missing: int,
    random: torch.Generator,
) -> Tensor:
    """Return the number of queries of each class of a block of tasks, int64 [BLOCK, ways].

    The numbers of a task sum to ways * queries.
    """
    total = ways * queries
    if balance == "balanced":
        return torch.full((BLOCK, ways), queries)
    if balance == "missing":
        present = ways - missing
        counts = torch.full((ways,), total // present)
        counts[: total % present] += 1
        counts[present:] = 0
        return counts[torch.rand(BLOCK, ways, generator=random).argsort(1)]
    shares = np.random.default_rng(random.initial_seed()).dirichlet([concentration] * ways, BLOCK)
    exact = torch.from_numpy(shares) * total
    counts = exact.floor().long()
    rank = (counts - exact).argsort(stable=True, dim=1).argsort(1)  # 0 for the largest remainder
    return counts + (rank < total - counts.sum(1, keepdim=True))


def _assembled(images_RK: Tensor, classes_TW: Tensor, counts_TW: Tensor, shots: int) -> TaskSet:
    """Return the tasks whose rows hold `shots` support images, then their query images."""
    n_tasks, ways = classes_TW.shape
    labels_R = torch.arange(ways).repeat(n_tasks)
    query_RK = images_RK[:, shots:]
    is_query_RK = torch.arange(query_RK.shape[1]) < counts_TW.reshape(-1, 1)
    return TaskSet(
        support=images_RK[:, :shots].reshape(n_tasks, -1),
        support_labels=labels_R.repeat_interleave(shots).reshape(n_tasks, -1),
        query=query_RK[is_query_RK].reshape(n_tasks, -1),
        query_labels=labels_R.repeat_interleave(counts_TW.flatten()).reshape(n_tasks, -1),
        classes=classes_TW,
    )


def check_classes(sizes: Tensor, ways: int, need: int, names: Sequence[str] = ()) -> None:
    """Raise UserError if there are fewer than `ways` classes, or one has fewer than `need` images.

    Args:
        sizes: images of each class, int64 [n_classes].
        ways: classes of a task.
        need: images that a task needs of each of its classes.
        names: class names, for the message.
    """
    if len(sizes) < ways:
        raise UserError(
            f"tasks with {ways} ways need {ways} classes, but there are {len(sizes)}: ask for at "
            f"most {len(sizes)} ways."
        )
    _check_needs(sizes, torch.arange(len(sizes)), torch.full_like(sizes, need), names)


def _check_needs(sizes: Tensor, classes_R: Tensor, needs_R: Tensor, names: Sequence[str]) -> None:
    """Raise UserError if a row needs more images than its class has."""
    lacks_R = needs_R - sizes[classes_R]
    worst = int(lacks_R.argmax())
    if lacks_R[worst] <= 0:
        return
    label = int(classes_R[worst])
    raise UserError(
        f"a task needs {int(needs_R[worst])} images of class "
        f"{repr(names[label]) if names else label}, support and queries together, but it has "
        f"{int(sizes[label])}: ask for fewer shots or queries, or leave the class out."
    )
