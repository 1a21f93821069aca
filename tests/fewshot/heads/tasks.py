"""Random tasks with features, for the tests of the task heads."""

from typing import NamedTuple

import torch
from torch import Tensor

from episodes.rng import generator
from episodes.tasks.task_set import TaskSet


class Pool(NamedTuple):
    """Features, and tasks among them."""

    features: Tensor
    tasks: TaskSet


def random_tasks(
    n_tasks: int = 4,
    n_way: int = 5,
    shots: int = 3,
    n_queries: int = 15,
    n_features: int = 32,
    *,
    unequal: bool = False,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Pool:
    """Return tasks whose features are those of a network: positive, and similar within a class.

    Args:
        unequal: whether the classes have different numbers of support images.
    """
    random = generator(seed, "task features")
    n_classes, per_class = 2 * n_way, shots + n_queries
    centres = torch.randn(n_classes, 1, n_features, generator=random, dtype=torch.float64)
    noise = torch.randn(n_classes, per_class, n_features, generator=random, dtype=torch.float64)
    features = (centres + 1.5 * noise).relu().flatten(0, 1).to(dtype)
    chosen = [torch.randperm(n_classes, generator=random)[:n_way] for _ in range(n_tasks)]
    classes = torch.stack(chosen)
    positions = torch.rand(n_tasks, n_way, per_class, generator=random).argsort(-1)
    images = classes[..., None] * per_class + positions
    support, query = images[..., :shots], images[..., shots:]
    labels = torch.arange(n_way)
    support_labels = labels.repeat_interleave(shots).expand(n_tasks, -1)
    if unequal:  # one image of the first class, two of the second, and so on
        remains = torch.arange(shots) < 1 + (labels[:, None] % shots)
        support_labels = support_labels[:, remains.flatten()]
        support = support[:, remains]
    query_labels = labels.repeat_interleave(n_queries).expand(n_tasks, -1)
    tasks = TaskSet(
        support.flatten(1),
        support_labels,
        query.flatten(1),
        query_labels,
        classes,
    )
    return Pool(features, tasks)
