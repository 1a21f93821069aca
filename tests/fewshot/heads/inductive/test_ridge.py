"""Oracles: scikit-learn's RidgeClassifier, and the normal equations in the features' dimension."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier

from fewshot.heads.inductive.ridge import Ridge
from tests.fewshot.heads.tasks import random_tasks


@pytest.mark.parametrize("features", ["UN", "L2N"])
@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_logits_are_those_of_scikit_learn(features: str, unequal: bool, penalty: float) -> None:
    pool = random_tasks(n_features=64, unequal=unequal)
    logits = Ridge(features=features, penalty=penalty).on_pool(pool.features)(pool.tasks)
    data = pool.features.double()
    if features == "L2N":
        data = data / data.norm(dim=1, keepdim=True)
    for t in range(len(pool.tasks)):
        x, y = data[pool.tasks.support[t]].numpy(), pool.tasks.support_labels[t].numpy()
        fitted = RidgeClassifier(alpha=penalty, class_weight="balanced").fit(x, y)
        scores = fitted.decision_function(data[pool.tasks.query[t]].numpy())
        # Its targets are -1 and 1 where ours are 0 and 1.
        np.testing.assert_allclose(2 * logits[t].numpy() - 1, scores, rtol=1e-3, atol=1e-4)


def test_the_dual_solution_is_that_of_the_normal_equations() -> None:
    pool = random_tasks(1, n_features=12, dtype=torch.float64)
    linear = Ridge(penalty=0.3).fit(
        pool.features[pool.tasks.support], pool.tasks.support_labels, pool.tasks.n_way
    )
    x = pool.features[pool.tasks.support[0]].numpy()
    y = np.eye(5)[pool.tasks.support_labels[0].numpy()]
    centred = x - x.mean(0)
    weight = np.linalg.solve(centred.T @ centred + 0.3 * np.eye(12), centred.T @ (y - y.mean(0)))
    np.testing.assert_allclose(linear.weight_TWD[0].numpy(), weight.T, rtol=1e-8, atol=1e-10)
