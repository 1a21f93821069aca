"""Oracle: the equations of the paper in nested loops of numpy."""

from __future__ import annotations

import numpy as np
import pytest

from fewshot.heads.transductive.soft_kmeans import SoftKMeans
from tests.fewshot.heads.tasks import random_tasks
from tests.fewshot.heads.transductive.arrays import one_task


def by_loops(
    support: np.ndarray, labels: np.ndarray, query: np.ndarray, n_way: int, a: float, steps: int
) -> np.ndarray:
    """Return the logits of one task, one number at a time."""
    means = [support[labels == w].mean(0) for w in range(n_way)]
    for _ in range(steps):
        shares = []
        for x in query:
            values = [np.exp(-a * ((x - mean) ** 2).sum()) for mean in means]
            shares.append([value / sum(values) for value in values])
        for w in range(n_way):
            members = support[labels == w]
            total = members.sum(0) + sum(shares[q][w] * query[q] for q in range(len(query)))
            means[w] = total / (len(members) + sum(shares[q][w] for q in range(len(query))))
    return np.array([[-a * ((x - mean) ** 2).sum() for mean in means] for x in query])


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
def test_logits_agree_with_nested_loops(unequal: bool, steps: int) -> None:
    pool = random_tasks(3, unequal=unequal)
    logits = SoftKMeans(features="L2N", scale=4.0, steps=steps).on_pool(pool.features)(pool.tasks)
    for t in range(3):
        task = one_task(pool, t, unit=True)
        expected = by_loops(task.support, task.labels, task.query, 5, 4.0, steps)
        np.testing.assert_allclose(logits[t], expected, rtol=1e-4, atol=1e-4)
