"""One task as numpy arrays in double precision, for oracles that loop over its images."""

from typing import NamedTuple

import numpy as np

from tests.fewshot.heads.tasks import Pool


class Task(NamedTuple):
    """Features of the support and of the queries, [s, d] and [q, d], and labels of the support."""

    support: np.ndarray
    labels: np.ndarray
    query: np.ndarray


def one_task(pool: Pool, number: int, *, unit: bool = False) -> Task:
    """Return a task of a pool.

    Args:
        number: which task.
        unit: whether features have unit length.
    """
    features = pool.features.double().numpy()
    if unit:
        features = features / np.linalg.norm(features, axis=1, keepdims=True)
    tasks = pool.tasks
    return Task(
        features[tasks.support[number]],
        tasks.support_labels[number].numpy(),
        features[tasks.query[number]],
    )
