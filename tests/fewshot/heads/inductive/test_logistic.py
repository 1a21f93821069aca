"""Oracle: scikit-learn's LogisticRegression, and the gradient in the features' dimension."""

import logging

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fewshot.heads.inductive import logistic
from fewshot.heads.inductive.logistic import Logistic
from tests.fewshot.heads.tasks import random_tasks


@pytest.mark.parametrize(("features", "c"), [("L2N", 1.0), ("L2N", 30.0), ("UN", 0.1)])
@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("n_way", [2, 5])
def test_logits_are_those_of_scikit_learn(
    features: str, c: float, unequal: bool, n_way: int
) -> None:
    pool = random_tasks(n_way=n_way, n_features=64, unequal=unequal)
    logits = Logistic(features=features, c=c).on_pool(pool.features)(pool.tasks)
    data = pool.features.double()
    if features == "L2N":
        data = data / data.norm(dim=1, keepdim=True)
    for t in range(len(pool.tasks)):
        x, y = data[pool.tasks.support[t]].numpy(), pool.tasks.support_labels[t].numpy()
        fitted = LogisticRegression(C=c, tol=1e-9, max_iter=10_000).fit(x, y)
        scores = fitted.decision_function(data[pool.tasks.query[t]].numpy())
        if n_way == 2:  # one number, the logit of the second class beside that of the first
            scores = np.stack([-scores, scores], 1) / 2
        scores -= np.log(np.bincount(y))
        # scikit-learn's biases sum to zero; the softmax does not know their sum.
        ours = logits[t].numpy() - logits[t].numpy().mean(1, keepdims=True)
        theirs = scores - scores.mean(1, keepdims=True)
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0])
def test_the_gradient_of_every_task_is_zero(scale: float) -> None:
    pool = random_tasks(16, n_features=40, dtype=torch.float64)
    support = scale * pool.features[pool.tasks.support]
    labels = pool.tasks.support_labels
    weight, bias = Logistic(features="UN").fit(support, labels, 5)
    probabilities = (support @ weight.mT + bias[:, None]).softmax(2)
    errors = probabilities - torch.eye(5, dtype=torch.float64)[labels]
    slopes = errors.mT @ support + weight
    assert float(slopes.abs().max()) < 1e-4 * max(1.0, scale)
    assert float(errors.sum(1).abs().max()) < 1e-4


def test_a_task_gets_the_same_weights_whatever_tasks_are_beside_it() -> None:
    pool = random_tasks(1, dtype=torch.float64)
    support, labels = pool.features[pool.tasks.support], pool.tasks.support_labels
    supports = [scale * support for scale in (1.0, 0.2, 4.0, 8.0)]  # large features need more steps
    head = Logistic(features="UN")
    together = head.fit(torch.cat(supports), labels.expand(4, -1), 5)
    for t, support in enumerate(supports):
        alone = head.fit(support, labels, 5)
        torch.testing.assert_close(together.weight_TWD[t], alone.weight_TWD[0], rtol=0, atol=1e-12)


def test_a_fit_that_has_not_converged_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logistic, "MAX_STEPS", 2)
    pool = random_tasks()
    with caplog.at_level(logging.WARNING, "fewshot"):
        Logistic().on_pool(pool.features)(pool.tasks)
    assert "did not converge in 2 steps" in caplog.text
