"""Oracles: algorithm 1 of the paper in nested loops of numpy, and easyfsl's LaplacianShot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewshot.heads.transductive.laplacian_shot import LaplacianShot
from tests.fewshot.heads.tasks import random_tasks
from tests.fewshot.heads.transductive.arrays import one_task


def by_loops(
    support: np.ndarray,
    labels: np.ndarray,
    query: np.ndarray,
    n_way: int,
    others: int,
    weight: float,
) -> np.ndarray:
    """Return the assignments of one task after 20 updates, from class means."""
    means = [support[labels == w].mean(0) for w in range(n_way)]
    unary = np.array([[((x - mean) ** 2).sum() for mean in means] for x in query])
    near = []
    for i, x in enumerate(query):
        order = sorted(range(len(query)), key=lambda j: ((x - query[j]) ** 2).sum())
        near.append([j for j in order if j != i][:others])
    y = np.exp(-unary) / np.exp(-unary).sum(1, keepdims=True)
    for _ in range(20):
        scores = np.array(
            [np.exp(-unary[i] + weight * sum(y[j] for j in near[i])) for i in range(len(query))]
        )
        y = scores / scores.sum(1, keepdims=True)
    return y


@pytest.mark.parametrize("unequal", [False, True])
def test_assignments_agree_with_nested_loops(unequal: bool) -> None:
    pool = random_tasks(3, unequal=unequal)
    head = LaplacianShot(features="L2N", rectify=False, smoothness=0.7, neighbours=4)
    logits = head.on_pool(pool.features)(pool.tasks)
    for t in range(3):
        task = one_task(pool, t, unit=True)
        expected = by_loops(task.support, task.labels, task.query, 5, 3, 0.7)
        np.testing.assert_allclose(logits[t].softmax(-1), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shots", [1, 5])
def test_assignments_are_those_of_easyfsl(shots: int) -> None:
    """Up to a thousandth, because easyfsl stops earlier; its prototypes differ."""
    methods = pytest.importorskip("easyfsl.methods", reason="easyfsl is not installed")
    pool = random_tasks(10, shots=shots)
    tasks = pool.tasks
    features = torch.nn.functional.normalize(pool.features, dim=-1)
    ours = LaplacianShot(features="UN", scale=1.0, weights="exponential").on_pool(features)(tasks)
    for t in range(len(tasks)):
        theirs = methods.LaplacianShot(torch.nn.Identity())
        theirs.process_support_set(features[tasks.support[t]], tasks.support_labels[t])
        scores = theirs(features[tasks.query[t]])
        torch.testing.assert_close(ours[t].softmax(-1), scores, rtol=0, atol=1e-3)


def test_a_single_query_has_no_neighbours() -> None:
    pool = random_tasks(2, n_way=2, shots=2, n_queries=1)
    tasks = pool.tasks
    head = LaplacianShot(rectify=False)
    support, query = pool.features[tasks.support], pool.features[tasks.query[:, :1]]
    logits = head.logits(support, tasks.support_labels, query, 2)
    means = torch.stack([support[:, tasks.support_labels[0] == w].mean(1) for w in range(2)], 1)
    torch.testing.assert_close(logits, -(query[:, :, None] - means[:, None]).square().sum(-1))
