"""Oracles: the paper's loss in numpy, minimised with finite differences; easyfsl's TIM."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewshot.heads.transductive.tim import TIM
from tests.fewshot.heads.tasks import random_tasks
from tests.fewshot.heads.transductive.arrays import one_task
from tests.fewshot.heads.transductive.information import final_probabilities, shannon


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("reduced", [False, True])
def test_probabilities_agree_with_finite_differences(
    distance: str, unequal: bool, reduced: bool
) -> None:
    pool = random_tasks(2, 3, 2, 2, n_features=12, unequal=unequal, dtype=torch.float64)
    settings = {"temperature": 8.0, "lr": 0.02, "steps": 5}
    weights = {"support_weight": 0.3, "marginal_weight": 1.0, "conditional_weight": 0.1}
    head = TIM(features="L2N", distance=distance, reduced=reduced, **weights, **settings)
    logits = head.on_pool(pool.features)(pool.tasks)
    for t in range(2):
        task = one_task(pool, t, unit=True)
        expected = final_probabilities(
            *(*task, 3, shannon),
            **{"a": 0.3, "b": 1.0, "c": 0.1, **settings},
            cosine=distance == "cosine",
            reduced=reduced,
        )
        np.testing.assert_allclose(logits[t].softmax(-1), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shots", [1, 5])
def test_logits_are_those_of_easyfsl(shots: int) -> None:
    methods = pytest.importorskip("easyfsl.methods", reason="easyfsl is not installed")
    pool = random_tasks(5, shots=shots)
    tasks = pool.tasks
    ours = TIM(
        features="UN",
        distance="cosine",
        temperature=10.0,
        conditional_weight=0.1,
        lr=1e-2,
        steps=50,
        reduced=False,
    ).on_pool(pool.features)(tasks)
    for t in range(len(tasks)):
        theirs = methods.TIM(torch.nn.Identity(), fine_tuning_lr=1e-2, fine_tuning_steps=50)
        theirs.process_support_set(pool.features[tasks.support[t]], tasks.support_labels[t])
        scores = theirs(pool.features[tasks.query[t]])
        torch.testing.assert_close(ours[t] / 10, scores, rtol=1e-3, atol=1e-3)


def test_one_scale_for_all_coordinates_gives_nearly_the_predictions_of_adam() -> None:
    pool = random_tasks(20, shots=1, n_features=160)
    predictions = [
        TIM(reduced=reduced, steps=300).on_pool(pool.features)(pool.tasks).argmax(-1)
        for reduced in (False, True)
    ]
    assert float((predictions[0] == predictions[1]).float().mean()) > 0.99
