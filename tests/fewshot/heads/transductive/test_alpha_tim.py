"""Oracles: the paper's loss in numpy, minimised with finite differences; TIM for alpha -> 1."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewshot.heads.transductive.alpha_tim import AlphaTIM
from fewshot.heads.transductive.tim import TIM
from tests.fewshot.heads.tasks import random_tasks
from tests.fewshot.heads.transductive.arrays import one_task
from tests.fewshot.heads.transductive.information import final_probabilities, of_order


@pytest.mark.parametrize(
    ("alpha", "shots", "order"), [(3.0, 2, 3.0), (None, 1, 2.0), (None, 5, 7.0)]
)
def test_probabilities_agree_with_finite_differences(
    alpha: float | None, shots: int, order: float
) -> None:
    pool = random_tasks(2, 3, shots, 2, n_features=12, dtype=torch.float64)
    settings = {"temperature": 8.0, "lr": 0.02, "steps": 5}
    head = AlphaTIM(features="L2N", alpha=alpha, reduced=False, **settings)
    logits = head.on_pool(pool.features)(pool.tasks)
    for t in range(2):
        task = one_task(pool, t, unit=True)
        expected = final_probabilities(
            *(*task, 3, of_order(order)), **{"a": 1.0, "b": 1.0, "c": 1.0, **settings}
        )
        np.testing.assert_allclose(logits[t].softmax(-1), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("alpha", [1.0, 1.0001])
def test_the_limit_of_order_one_is_tim(alpha: float) -> None:
    pool = random_tasks(5)
    weights = {"support_weight": 0.3, "conditional_weight": 0.2, "lr": 1e-3, "steps": 100}
    ours = AlphaTIM(alpha=alpha, **weights).on_pool(pool.features)(pool.tasks)
    expected = TIM(**weights).on_pool(pool.features)(pool.tasks)
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-2)
    other = AlphaTIM(alpha=2.0, **weights).on_pool(pool.features)(pool.tasks)
    assert float((other - expected).abs().max()) > 0.05
