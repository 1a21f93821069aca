"""Oracles: the equations of the paper in nested loops of numpy, and easyfsl's BDCSPN."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewshot.heads.transductive.bd_cspn import BDCSPN
from tests.fewshot.heads.tasks import random_tasks
from tests.fewshot.heads.transductive.arrays import one_task


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def by_loops(
    support: np.ndarray, labels: np.ndarray, query: np.ndarray, n_way: int, e: float
) -> np.ndarray:
    """Return the logits of one task, one number at a time."""
    means = [support[labels == w].mean(0) for w in range(n_way)]
    shift = support.mean(0) - query.mean(0)
    prototypes = []
    joined = [max(range(n_way), key=lambda w: cosine(x + shift, means[w])) for x in query]
    for w in range(n_way):
        members = [x for x, label in zip(support, labels, strict=True) if label == w]
        members += [x + shift for x, label in zip(query, joined, strict=True) if label == w]
        weights = []
        for x in members:
            values = [np.exp(e * cosine(x, mean)) for mean in means]
            weights.append(values[w] / sum(values))
        weighted = sum(weight * x for weight, x in zip(weights, members, strict=True))
        prototypes.append(weighted / sum(weights))
    return np.array([[e * cosine(x, prototype) for prototype in prototypes] for x in query])


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_logits_agree_with_nested_loops(unequal: bool, scale: float) -> None:
    pool = random_tasks(3, unequal=unequal)
    logits = BDCSPN(features="UN", scale=scale).on_pool(pool.features)(pool.tasks)
    for t in range(3):
        task = one_task(pool, t)
        expected = by_loops(task.support, task.labels, task.query, 5, scale)
        np.testing.assert_allclose(logits[t], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shots", [1, 5])
def test_logits_are_those_of_easyfsl(shots: int) -> None:
    methods = pytest.importorskip("easyfsl.methods", reason="easyfsl is not installed")
    pool = random_tasks(10, shots=shots)
    tasks = pool.tasks
    ours = BDCSPN(features="UN", scale=1.0, weights="exponential").on_pool(pool.features)(tasks)
    for t in range(len(tasks)):
        theirs = methods.BDCSPN(torch.nn.Identity())
        theirs.process_support_set(pool.features[tasks.support[t]], tasks.support_labels[t])
        scores = theirs(pool.features[tasks.query[t]])
        torch.testing.assert_close(ours[t], scores, rtol=1e-4, atol=1e-5)
