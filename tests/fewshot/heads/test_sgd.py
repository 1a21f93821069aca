"""New heads by SGD against torch's modules, autograd and `torch.optim.SGD`, one task at a time."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.rng import generator
from fewshot.heads.sgd import NewHeads, SgdOptions

N_WAY, WIDTH, N_TASKS = 3, 6, 4


def tasks(shots: int = 3, queries: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Return support features [t, s, d], their labels, and query features [t, q, d]."""
    random = torch.Generator().manual_seed(1)
    centres = torch.randn(N_TASKS, N_WAY, WIDTH, generator=random)
    labels = torch.arange(N_WAY).repeat(shots).expand(N_TASKS, -1)
    rows = torch.arange(N_TASKS)[:, None]
    support = centres[rows, labels] + torch.randn(N_TASKS, N_WAY * shots, WIDTH, generator=random)
    return support, labels, torch.randn(N_TASKS, queries, WIDTH, generator=random)


class Cosine(nn.Module):
    """Cosines to the rows of a weight, times a scale."""

    def __init__(self, weight: Tensor, scale: float) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(weight.clone()), scale

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * F.cosine_similarity(features[:, None], self.weight[None], dim=-1)


def expected(
    kind: str, support: Tensor, labels: Tensor, queries: Tensor, *, dampening: float, epochs: int
) -> Tensor:
    """Return the logits of one task by torch's own training loop."""
    initial = torch.rand(N_WAY, WIDTH + 1, generator=generator(0, "new-head"))
    initial = (2 * initial - 1) / math.sqrt(WIDTH)
    head: nn.Module = Cosine(initial[:, :WIDTH], 5.0)
    if kind == "linear":
        head = nn.Linear(WIDTH, N_WAY)
        head.load_state_dict({"weight": initial[:, :WIDTH], "bias": initial[:, WIDTH]})
    optimizer = torch.optim.SGD(
        head.parameters(), lr=0.05, momentum=0.8, dampening=dampening, weight_decay=0.01
    )
    direction = torch.randn(WIDTH, generator=generator(0, "new-head-sort"))
    sorted_by = (F.normalize(support, dim=1) if kind == "cosine" else support) @ direction
    order = sorted(range(len(labels)), key=lambda i: (int(labels[i]), float(sorted_by[i])))
    for epoch in range(epochs):
        positions = torch.randperm(len(labels), generator=generator(0, "new-head-order", epoch))
        for start in range(0, len(labels), 4):
            rows = [order[position] for position in positions[start : start + 4].tolist()]
            optimizer.zero_grad()
            F.cross_entropy(head(support[rows]), labels[rows]).backward()
            optimizer.step()
    return head(queries)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize("dampening", [0, 0.9])
def test_the_heads_are_those_of_torchs_sgd(
    kind: Literal["linear", "cosine"], dampening: float
) -> None:
    options = SgdOptions(
        head=kind,
        scale=5.0,
        adapt_epochs=7,
        adapt_lr=0.05,
        adapt_momentum=0.8,
        adapt_dampening=dampening,
        adapt_decay=0.01,
    )
    support, labels, queries = tasks()
    logits = NewHeads(options, support, labels, N_WAY)(queries)
    for number in range(N_TASKS):
        by_hand = expected(
            kind,
            support[number],
            labels[number],
            queries[number],
            dampening=dampening,
            epochs=7,
        )
        torch.testing.assert_close(logits[number], by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_task_gets_the_same_head_alone_and_in_any_order(
    kind: Literal["linear", "cosine"],
) -> None:
    support, labels, queries = tasks()
    options = SgdOptions(head=kind, adapt_epochs=5)
    together = NewHeads(options, support, labels, N_WAY)(queries)
    order = torch.randperm(support.shape[1], generator=torch.Generator().manual_seed(0))
    alone = NewHeads(options, support[2:3, order], labels[2:3, order], N_WAY)(queries[2:3])
    torch.testing.assert_close(alone[0], together[2], rtol=1e-4, atol=1e-5)


def test_the_steps_separate_the_support() -> None:
    support, labels, _ = tasks()
    logits = NewHeads(SgdOptions(head="linear"), support, labels, N_WAY)(support)
    before = NewHeads(SgdOptions(head="linear", adapt_epochs=1), support, labels, N_WAY)(support)
    losses = [F.cross_entropy(one.flatten(0, 1), labels.flatten()) for one in (before, logits)]
    assert losses[1] < losses[0] / 2
