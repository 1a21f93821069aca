"""Oracle: heads written here that are known to depend on the other queries, or not to."""

from __future__ import annotations

import re
from functools import cache

import pytest
import torch
from torch import Tensor

from episodes.rng import seeded
from fewshot import backbones
from fewshot.config import check
from fewshot.evaluation import independence
from fewshot.evaluation.independence import Independence
from fewshot.heads import HEADS
from fewshot.heads.task_head import TaskHead
from fewshot.learners import LEARNERS
from fewshot.learners.base import Task
from fewshot.runs.episodic import methods
from tests.fewshot import easy
from tests.fewshot.heads.tasks import random_tasks
from tests.fewshot.learners.test_contract import BACKBONES

TASK = Task(independence.N_WAY, torch.arange(independence.N_WAY) % 2)


class Alone(TaskHead):
    """Classify a query by inner products with the first images of the support."""

    transductive = False

    def logits(self, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        return query @ support[:, :n_way].mT


class Shifted(Alone):
    """Subtract the mean of the queries first."""

    def logits(self, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        return super().logits(support, labels, query - query.mean(1, keepdim=True), n_way)


class Slightly(Alone):
    """Add a little of the standard deviation of the queries."""

    def logits(self, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        logits = super().logits(support, labels, query, n_way)
        return logits + 0.01 * query.std(1, correction=0).mean()


class Ordered(Alone):
    """Prefer the first class for the queries in odd places."""

    def logits(self, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        logits = super().logits(support, labels, query, n_way)
        logits[:, 1::2, 0] += 1
        return logits


class Undefined(Alone):
    """Return no number for a single query."""

    def logits(self, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        logits = super().logits(support, labels, query, n_way)
        return logits * torch.nan if query.shape[1] == 1 else logits


def test_a_head_that_sees_one_query_at_a_time_is_independent() -> None:
    result = independence.of_head(Alone())
    assert result.independent
    assert "alone, among 75 and among outliers" in str(result)


@pytest.mark.parametrize("kind", [Shifted, Slightly, Ordered, Undefined])
def test_a_head_that_depends_on_the_others_is_recognised(kind: type[TaskHead]) -> None:
    result = independence.of_head(kind())
    assert not result.independent
    how = "and are not finite" if kind is Undefined else r"by up to \d+% of their range"
    assert re.search(f"change with the others, {how} \\([a-z ]+\\)$", str(result))


def test_what_changes_the_logits_is_named() -> None:
    changes = independence.of_head(Ordered()).changes
    assert changes["in another order"] > 0.01
    assert independence.of_head(Undefined()).largest == "alone"


@cache
def of_head(name: str, features: str) -> Independence:
    return independence.of_head(HEADS[name](features=features))


@pytest.mark.parametrize("features", ["UN", "L2N", "CL2N"])
@pytest.mark.parametrize("name", [name for name in HEADS if not HEADS[name].transductive])
def test_every_head_that_calls_itself_inductive_is(name: str, features: str) -> None:
    result = of_head(name, features)
    assert result.independent, result.changes


@pytest.mark.parametrize("name", [name for name in HEADS if HEADS[name].transductive])
def test_every_head_that_calls_itself_transductive_is(name: str) -> None:
    result = of_head(name, "CL2N")
    assert not result.independent
    assert result.changes["in another order"] < 0.01  # the order of the queries means nothing


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_every_learner_is_inductive(name: str, norm: str) -> None:
    kind = LEARNERS[name]
    with seeded(0, "test"):
        backbone = backbones.build(BACKBONES[norm])
        learner = kind.from_config(backbone, TASK, check(kind.options_type, {}, name))
        learner.prepare(easy.labelled(2, seed=0))
    result = independence.of_learner(learner)
    assert result.independent, result.changes


@pytest.mark.parametrize("name", [name for name in methods.methods() if name not in HEADS])
def test_every_learner_with_its_preset_is_what_it_says(name: str) -> None:
    method = methods.method(name)
    result = methods.check_independence(method)
    assert result.independent != method.transductive, result.changes


def test_heads_are_independent_of_the_other_queries_without_a_pool() -> None:
    """`of_head` tries `on_pool`, which may compute in another way than the head itself."""
    features, tasks = random_tasks(2)
    support, query = features[tasks.support], features[tasks.query]
    for name, kind in HEADS.items():
        if not kind.transductive:
            together = kind()(support, tasks.support_labels, query, 5)
            alone = kind()(support, tasks.support_labels, query[:, 7:8], 5)
            torch.testing.assert_close(alone, together[:, 7:8], rtol=1e-4, atol=1e-4, msg=name)
