"""Oracles: nested loops over tasks, queries and classes in numpy, and easyfsl's own methods."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewshot.heads import HEADS
from tests.fewshot.heads.tasks import Pool, random_tasks

EVERY = [
    (features, distance)
    for features in ("UN", "L2N", "CL2N")
    for distance in ("euclidean", "cosine")
]


def by_loops(pool: Pool, features: str, distance: str, base_mean: np.ndarray | None) -> np.ndarray:
    """Return the logits of the nearest class mean, one number at a time."""
    data, tasks = pool.features.double().numpy(), pool.tasks
    logits = np.zeros((*tasks.query.shape, tasks.n_way))
    for t in range(len(tasks)):
        support = data[tasks.support[t]]
        centre = np.zeros_like(support[0])
        if features == "CL2N":
            centre = support.mean(0) if base_mean is None else base_mean

        def prepare(x: np.ndarray, centre: np.ndarray = centre) -> np.ndarray:
            return x if features == "UN" else (x - centre) / np.linalg.norm(x - centre)

        for w in range(tasks.n_way):
            members = [prepare(x) for x in support[tasks.support_labels[t] == w]]
            mean = sum(members) / len(members)
            for q, index in enumerate(tasks.query[t]):
                x = prepare(data[index])
                if distance == "cosine":
                    logits[t, q, w] = x @ mean / np.linalg.norm(x) / np.linalg.norm(mean)
                else:
                    # The head leaves out |x|^2, which the classes share.
                    logits[t, q, w] = (x**2).sum() - ((x - mean) ** 2).sum()
    return logits


@pytest.mark.parametrize(("features", "distance"), EVERY)
@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("with_base", [False, True])
def test_logits_agree_with_nested_loops(
    features: str, distance: str, unequal: bool, with_base: bool
) -> None:
    pool = random_tasks(unequal=unequal)
    base_mean = pool.features.mean(0) + 0.1 if with_base else None
    head = HEADS["nearest-mean"](features=features, distance=distance)
    expected = by_loops(pool, features, distance, None if base_mean is None else base_mean.numpy())
    tasks = pool.tasks
    gathered = head(
        pool.features[tasks.support],
        tasks.support_labels,
        pool.features[tasks.query],
        tasks.n_way,
        base_mean,
    )
    np.testing.assert_allclose(gathered.numpy(), expected, rtol=1e-5, atol=1e-5)
    on_pool = head.on_pool(pool.features, base_mean)(tasks)
    np.testing.assert_allclose(on_pool.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize(("features", "distance"), [("UN", "euclidean"), ("CL2N", "euclidean")])
def test_predictions_are_those_of_easyfsl(shots: int, features: str, distance: str) -> None:
    methods = pytest.importorskip("easyfsl.methods", reason="easyfsl is not installed")
    pool = random_tasks(20, shots=shots)
    tasks, base_mean = pool.tasks, pool.features.mean(0)
    ours = HEADS["nearest-mean"](features=features, distance=distance).on_pool(
        pool.features, base_mean
    )(tasks)
    settings = {"feature_centering": base_mean, "feature_normalization": 2.0}
    theirs = methods.PrototypicalNetworks(
        torch.nn.Identity(), **(settings if features == "CL2N" else {})
    )
    for t in range(len(tasks)):
        theirs.process_support_set(pool.features[tasks.support[t]], tasks.support_labels[t])
        scores = theirs(pool.features[tasks.query[t]])
        assert torch.equal(ours[t].argmax(1), scores.argmax(1))
        squares = scores.square() + ours[t]  # minus their distances; |x|^2 remains
        torch.testing.assert_close(squares, squares[:, :1].expand(-1, 5), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shots", [1, 5])
def test_cosines_are_those_of_simpleshot_in_easyfsl(shots: int) -> None:
    methods = pytest.importorskip("easyfsl.methods", reason="easyfsl is not installed")
    features, tasks = random_tasks(20, shots=shots)
    ours = HEADS["nearest-mean"](features="UN", distance="cosine").on_pool(features)(tasks)
    theirs = methods.SimpleShot(torch.nn.Identity())
    for t in range(len(tasks)):
        theirs.process_support_set(features[tasks.support[t]], tasks.support_labels[t])
        torch.testing.assert_close(ours[t], theirs(features[tasks.query[t]]))
