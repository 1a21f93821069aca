"""Oracle: gradient descent by autograd on the weights themselves, one task at a time."""

import pytest
import torch
from torch.nn import functional as F

from fewshot.heads.inductive.cosine import Cosine
from tests.fewshot.heads.tasks import random_tasks


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize(("scale", "steps", "lr"), [(10.0, 20, 0.1), (2.0, 5, 1.0), (10.0, 0, 0.1)])
def test_logits_are_those_of_descent_on_the_weights(
    unequal: bool, scale: float, steps: int, lr: float
) -> None:
    features, tasks = random_tasks(3, unequal=unequal, dtype=torch.float64)
    head = Cosine(features="UN", scale=scale, steps=steps, lr=lr)
    logits = head(features[tasks.support], tasks.support_labels, features[tasks.query], 5)
    for t in range(3):
        support, labels = features[tasks.support[t]], tasks.support_labels[t]
        means = [F.normalize(support[labels == w], dim=1).mean(0) for w in range(5)]
        weight = F.normalize(torch.stack(means), dim=1)
        for _ in range(steps):
            weight.requires_grad_()
            cosines = F.cosine_similarity(support[:, None], weight[None], dim=2)
            loss = F.cross_entropy(scale * cosines, labels)
            (gradient,) = torch.autograd.grad(loss, weight)
            weight = F.normalize((weight - lr * gradient).detach(), dim=1)
        query = features[tasks.query[t]]
        expected = scale * F.cosine_similarity(query[:, None], weight[None], dim=2)
        torch.testing.assert_close(logits[t], expected, rtol=1e-9, atol=1e-9)


def test_the_descent_lowers_the_cross_entropy_of_the_support() -> None:
    features, tasks = random_tasks()
    losses = []
    for steps in (0, 10, 100):
        support = features[tasks.support]
        logits = Cosine(steps=steps)(support, tasks.support_labels, support, 5)
        losses.append(float(F.cross_entropy(logits.flatten(0, 1), tasks.support_labels.flatten())))
    assert losses[0] > losses[1] > losses[2]
