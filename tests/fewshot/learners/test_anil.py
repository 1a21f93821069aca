"""Oracle: steps of gradient descent with autograd, in float64."""

import pytest
import torch
from torch.nn import functional as F

from fewshot.learners import anil
from tests.fewshot.heads.tasks import random_tasks


@pytest.mark.parametrize("head", ["zero", "prototypes"])
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_the_steps_are_those_of_autograd(head: str, steps: int) -> None:
    pool = random_tasks(3, dtype=torch.float64, unequal=True)
    support = F.normalize(pool.features[pool.tasks.support], dim=-1)
    labels = pool.tasks.support_labels
    heads = anil.start(head, support, labels, 5)
    ours = anil.adapt(heads, support, labels, torch.tensor(4.0, dtype=torch.float64), 0.5, steps)
    for t in range(3):
        weight, bias = (value[t].clone().requires_grad_() for value in heads)
        for _ in range(steps):
            loss = F.cross_entropy(4.0 * F.linear(support[t], weight, bias), labels[t])
            slopes = torch.autograd.grad(loss, (weight, bias))
            weight, bias = (
                (value - 0.5 * slope).detach().requires_grad_()
                for value, slope in zip((weight, bias), slopes, strict=True)
            )
        torch.testing.assert_close(ours.weight_TWD[t], weight.detach(), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(ours.bias_TW[t], bias.detach(), rtol=1e-9, atol=1e-12)
