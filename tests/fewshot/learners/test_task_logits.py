"""Oracle: `adapt`, one task after another, which the batched solutions of many tasks must equal."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from episodes.rng import generator, seeded
from fewshot import backbones
from fewshot.config import check
from fewshot.learners import LEARNERS
from fewshot.learners.base import Learner
from tests.fewshot import easy
from tests.fewshot.heads.tasks import Pool, random_tasks
from tests.fewshot.learners.test_contract import BACKBONES

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "protonet": [{"distance": "cosine"}],
    "siamese": [
        {"compare": "all"},
        {"compare": "all", "centre": False},
        {"embedding": 7},
        {"loss": "logits"},
    ],
    "maml": [
        {"head": "zero", "inner_lr": 0.5},
        {"head": "learned", "inner_lr": 0.5},
        {"head": "zero", "centre": False, "inner_steps": 1},
        {"normalise": False, "inner_lr": 0.01},
        {"test_steps": 0},
        {"inner_batch": 8},
        {"inner_trainable": "all"},
        {"order": "second", "test_steps": 9},
    ],
}
CASES = [(name, settings) for name in LEARNERS for settings in [{}, *SETTINGS.get(name, [])]]
every_learner = pytest.mark.parametrize(("name", "settings"), CASES)


def build(name: str, settings: dict[str, Any]) -> Learner:
    """Return a learner whose weights differ from their initial values."""
    kind = LEARNERS[name]
    with seeded(0, "test"):
        backbone = backbones.build(BACKBONES["none"])
        learner = kind.from_config(backbone, easy.TASK, check(kind.options_type, settings, name))
    random = generator(0, "weights")
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=random)
    return learner.eval()


def pool_for(learner: Learner, unequal: bool) -> Pool:
    return random_tasks(
        3, easy.N_WAY, n_queries=4, n_features=learner.backbone.n_features, unequal=unequal
    )


def by_adapt(learner: Learner, pool: Pool) -> Tensor:
    """Return the logits of `adapt`, from gathered features."""
    features, tasks = pool
    return Learner.task_logits(
        learner, features[tasks.support], tasks.support_labels, features[tasks.query], tasks.n_way
    )


@every_learner
@pytest.mark.parametrize("unequal", [False, True])
@torch.no_grad()
def test_many_tasks_at_once_get_the_logits_of_adapt(
    name: str, settings: dict[str, Any], unequal: bool
) -> None:
    learner = build(name, settings)
    pool = pool_for(learner, unequal)
    features, tasks = pool
    expected = by_adapt(learner, pool)
    assert expected.std(-1).min() > 0  # logits that are all the same would agree with anything
    logits = learner.task_logits(
        features[tasks.support], tasks.support_labels, features[tasks.query], tasks.n_way
    )
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(learner.on_pool(features)(tasks), expected, rtol=1e-4, atol=1e-4)


@every_learner
@torch.no_grad()
def test_nothing_is_written_on_the_learner(name: str, settings: dict[str, Any]) -> None:
    learner = build(name, settings)
    before = copy.deepcopy(learner.state_dict())
    pool = pool_for(learner, unequal=False)
    learner.on_pool(pool.features)(pool.tasks)
    after = learner.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_learned_head_refuses_another_number_of_classes() -> None:
    learner = build("maml", {"head": "learned"})
    pool = random_tasks(1, easy.N_WAY + 1, n_features=learner.backbone.n_features)
    with pytest.raises(Exception, match="was built for 4 classes"):
        learner.on_pool(pool.features)(pool.tasks)
