"""Oracles: the paper's algorithm 1 in nested loops of numpy, and easyfsl's PTMAP."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fewshot.heads.transductive import pt_map
from fewshot.heads.transductive.pt_map import PTMAP, balanced, transformed
from tests.fewshot.heads.tasks import random_tasks
from tests.fewshot.heads.transductive.arrays import one_task


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def transport(query: np.ndarray, means: list[np.ndarray], sharpness: float) -> np.ndarray:
    """Return the balanced assignments, [q, w]."""
    plan = np.array([[np.exp(-sharpness * ((x - m) ** 2).sum()) for m in means] for x in query])
    sums = np.zeros(len(query))
    while abs(sums - plan.sum(1)).max() > 1e-6:  # as in the authors' program
        sums = plan.sum(1)
        plan /= plan.sum(1, keepdims=True)
        plan *= len(query) / len(means) / plan.sum(0)
    return plan


def by_loops(support: np.ndarray, labels: np.ndarray, query: np.ndarray, n_way: int) -> np.ndarray:
    """Return the assignments of one task with the default settings."""
    support, query = (unit((x + 1e-6) ** 0.5) for x in (support, query))
    support, query = unit(support - support.mean(0)), unit(query - query.mean(0))
    means = [support[labels == w].mean(0) for w in range(n_way)]
    for _ in range(20):
        plan = transport(query, means, 10.0)
        for w in range(n_way):
            members = support[labels == w]
            total = members.sum(0) + sum(plan[q, w] * query[q] for q in range(len(query)))
            means[w] = means[w] + 0.2 * (total / (len(members) + plan[:, w].sum()) - means[w])
    return transport(query, means, 10.0)


@pytest.mark.parametrize("unequal", [False, True])
def test_assignments_agree_with_nested_loops(unequal: bool) -> None:
    pool = random_tasks(2, 3, 3, 5, unequal=unequal)
    logits = PTMAP().on_pool(pool.features)(pool.tasks)
    for t in range(2):
        task = one_task(pool, t)
        expected = by_loops(task.support, task.labels, task.query, 3)
        expected /= expected.sum(1, keepdims=True)
        np.testing.assert_allclose(logits[t].softmax(-1), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shots", [1, 5])
def test_assignments_are_those_of_easyfsl(shots: int) -> None:
    """With features that are transformed already: easyfsl neither scales nor centres them."""
    methods = pytest.importorskip("easyfsl.methods", reason="easyfsl is not installed")
    pool = random_tasks(5, shots=shots)
    tasks = pool.tasks
    features = torch.nn.functional.normalize(pool.features, dim=-1)
    support, query = features[tasks.support], features[tasks.query]
    ours = PTMAP().refine(support, tasks.support_labels, query, tasks.n_way)
    for t in range(len(tasks)):
        theirs = methods.PTMAP(torch.nn.Identity(), fine_tuning_steps=20, power_factor=1.0)
        theirs.process_support_set(support[t], tasks.support_labels[t])
        torch.testing.assert_close(ours[t].exp(), theirs(query[t]), rtol=0, atol=1e-3)


def test_assignments_have_equal_sums_over_the_queries_whatever_the_queries_are() -> None:
    pool = random_tasks(3)
    tasks = pool.tasks
    unequal = tasks.query[:, :40]  # of the last classes, few
    head = PTMAP()
    logits = head(pool.features[tasks.support], tasks.support_labels, pool.features[unequal], 5)
    torch.testing.assert_close(logits.exp().sum(1), torch.full((3, 5), 8.0), rtol=1e-3, atol=0)


def test_a_task_does_not_depend_on_the_tasks_beside_it() -> None:
    kernels = torch.rand(20, 30, 5, generator=torch.Generator().manual_seed(0)) ** 8
    together = balanced(kernels)
    for t in range(20):
        assert torch.equal(balanced(kernels[t : t + 1])[0], together[t])


class Operations(TorchDispatchMode):
    """Count the operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


def test_the_tolerance_is_tested_every_ten_steps_which_changes_no_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each test reads a value, for which a program waits until a GPU has done all its work."""
    kernels = torch.rand(20, 30, 5, generator=torch.Generator().manual_seed(0)) ** 8
    with Operations() as operations:
        result = balanced(kernels)
    n_steps = operations.counts["bmm"] // 2
    assert operations.counts["_local_scalar_dense"] <= n_steps // 10 + 1
    monkeypatch.setattr(pt_map, "CHECKED", 1)
    assert torch.equal(balanced(kernels), result)


def test_negative_features_are_transformed_with_their_sign() -> None:
    features = torch.rand(2, 6, 4, generator=torch.Generator().manual_seed(0)) - 0.5
    torch.testing.assert_close(transformed(-features, 0.5), -transformed(features, 0.5))
