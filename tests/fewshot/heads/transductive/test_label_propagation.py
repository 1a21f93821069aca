"""Oracle: the iteration of Zhou et al. on a graph that is built in nested loops of numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewshot.heads.transductive.label_propagation import LabelPropagation
from tests.fewshot.heads.tasks import random_tasks
from tests.fewshot.heads.transductive.arrays import one_task


def by_loops(
    support: np.ndarray, labels: np.ndarray, query: np.ndarray, n_way: int, k: int, alpha: float
) -> np.ndarray:
    """Return the queries' scores of one task after 2,000 repetitions, divided by their sum."""
    images = [*support, *query]
    n = len(images)
    squares = np.array([[((x - y) ** 2).sum() for y in images] for x in images])
    near, lengths = [], []
    for i in range(n):
        order = [j for j in np.argsort(squares[i]) if j != i]
        near.append(order[: min(k, n // 4)])
        lengths.append(np.sqrt(squares[i, order[6]]))
    weights = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j and (j in near[i] or i in near[j]):
                weights[i, j] = np.exp(-squares[i, j] / (lengths[i] * lengths[j]))
    degrees = weights.sum(1)
    graph = weights / np.sqrt(np.outer(degrees, degrees))
    y = np.zeros((n, n_way))
    for i, label in enumerate(labels):
        y[i, label] = 1 / (labels == label).sum()
    scores = y
    for _ in range(2000):
        scores = alpha * graph @ scores + y
    scores = scores[len(support) :]
    return scores / scores.sum(1, keepdims=True)


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize(("neighbours", "spread"), [(20, 0.99), (5, 0.5)])
def test_scores_agree_with_nested_loops(unequal: bool, neighbours: int, spread: float) -> None:
    pool = random_tasks(2, n_queries=8, unequal=unequal)
    head = LabelPropagation(features="UN", neighbours=neighbours, spread=spread)
    logits = head.on_pool(pool.features)(pool.tasks)
    for t in range(2):
        task = one_task(pool, t)
        expected = by_loops(task.support, task.labels, task.query, 5, neighbours, spread)
        np.testing.assert_allclose(logits[t].softmax(-1), expected, rtol=1e-3, atol=1e-4)


def test_small_tasks_of_separate_classes_are_solved() -> None:
    """With 20 of 18 images as neighbours, one class would win all queries: 0.55 are correct."""
    random = torch.Generator().manual_seed(0)
    means = torch.randn(50, 3, 64, generator=random)
    support = means + 0.7 * torch.randn(50, 3, 64, generator=random)
    spread = torch.randn(50, 15, 64, generator=random)
    query = means.repeat_interleave(5, 1) + 0.7 * spread
    labels = torch.arange(3).repeat(50, 1)
    predictions = LabelPropagation()(support, labels, query, 3).argmax(-1)
    assert (predictions == labels.repeat_interleave(5, 1)).float().mean() > 0.98
