"""Sample tasks of varying ways and shots, by the procedure of Meta-Dataset.

Each task is sampled in these steps; C are its classes, n_c is the number of images of class c, and
every number is drawn anew for every task:

1. ways: uniform from `min_ways` to `max_ways`, or to the number of classes if there are fewer;
2. C: that many classes, all equally likely;
3. queries of every class: q = min(max_queries, min over C of floor(n_c / 2));
4. size of the support: s = min(max_support, sum over C of ceil(b * min(max_share, n_c - q))), with
   b uniform in (0, 1];
5. shots of class c: k_c = min(floor(r_c * (s - ways)) + 1, n_c - q), with r_c proportional to
   n_c * exp(a_c) and a_c uniform in [log 0.5, log 2);
6. the images of each class: q + k_c of them, all equally likely.

Left out: Meta-Dataset samples the classes of ImageNet by its hierarchy, and those of Omniglot by
alphabet.

Source:
    E. Triantafillou et al., Meta-Dataset: a dataset of datasets for learning to learn from few
    examples, ICLR 2020, arXiv 1903.03096, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from episodes.errors import UserError
from episodes.rng import generator
from episodes.tasks import sampling
from episodes.tasks.task_set import TaskSet

MIN_WAYS = 5
MAX_WAYS = 50
MAX_QUERIES = 10  # of a class
MAX_SUPPORT = 500  # of a task
MAX_SHARE = 100  # of a class in the size of the support
LOG_WEIGHTS = (math.log(0.5), math.log(2))


def varying(
    labels: Tensor,
    *,
    count: int,
    seed: int,
    min_ways: int = MIN_WAYS,
    max_ways: int = MAX_WAYS,
    max_queries: int = MAX_QUERIES,
    max_support: int = MAX_SUPPORT,
    max_share: int = MAX_SHARE,
    names: Sequence[str] = (),
) -> tuple[TaskSet, ...]:
    """Sample tasks of varying ways and shots; a task depends on the seed and its number alone.

    Args:
        labels: class of each image of the pool, int64 [n]. All classes from 0 to the largest take
            part.
        count: number of tasks.
        seed: seed of the tasks.
        min_ways, max_ways: fewest and most classes of a task.
        max_queries: most query images of a class.
        max_support: most support images of a task, at least `max_ways`.
        max_share: most images that a class adds to the size of the support.
        names: class names, for messages.

    Returns:
        `count` sets of one task each.

    Raises:
        UserError: there are fewer than `min_ways` classes, one has a single image, or `max_support`
            is below `max_ways`.
    """
    if max_support < max_ways:
        raise UserError(
            f"max_support={max_support} leaves no support image to some of max_ways={max_ways} "
            "classes: raise the first or lower the second."
        )
    sizes = torch.bincount(labels)
    sampling.check_classes(sizes, min_ways, 2, names)
    order, starts = torch.argsort(labels, stable=True), sizes.cumsum(0) - sizes
    tasks = []
    for number in range(count):
        random = np.random.default_rng(generator(seed, "varying task", number).initial_seed())
        ways = int(random.integers(min_ways, min(max_ways, len(sizes)) + 1))
        classes = random.choice(len(sizes), ways, replace=False)
        n_images = sizes.numpy()[classes]
        queries = min(max_queries, int(n_images.min() // 2))
        left = n_images - queries
        size = np.ceil((1 - random.random()) * np.minimum(max_share, left)).sum()
        weights = n_images * np.exp(random.uniform(*LOG_WEIGHTS, ways))
        shares = weights / weights.sum()
        shots = np.floor(shares * (min(size, max_support) - ways)).astype(np.int64) + 1
        shots = np.minimum(shots, left)
        tasks.append(_task(classes, n_images, shots, queries, random, order, starts))
    return tuple(tasks)


def _task(
    classes: np.ndarray,
    n_images: np.ndarray,
    shots: np.ndarray,
    queries: int,
    random: np.random.Generator,
    order: Tensor,
    starts: Tensor,
) -> TaskSet:
    """Return the task of some classes.

    Args:
        classes: int64 [ways].
        n_images: images of each class, int64 [ways].
        shots: support images of each class, int64 [ways].
        queries: query images of every class.
        random: chooses the images.
        order: indices of all images, class by class.
        starts: place in `order` where each class begins.
    """
    needs, labels = torch.from_numpy(shots + queries), torch.from_numpy(classes)
    numbers = torch.from_numpy(random.random((int(needs.max()), len(classes))))
    places = sampling.distinct(torch.from_numpy(n_images), numbers, needs)
    images = order[(starts[labels] + places).T]
    steps = torch.arange(images.shape[1])
    is_query = steps < queries
    is_support = ~is_query & (steps < needs[:, None])
    label_in_task = torch.arange(len(classes))
    return TaskSet(
        support=images[is_support][None],
        support_labels=label_in_task.repeat_interleave(torch.from_numpy(shots))[None],
        query=images[:, is_query].reshape(1, -1),
        query_labels=label_in_task.repeat_interleave(queries)[None],
        classes=labels[None],
    )
