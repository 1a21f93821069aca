"""Oracle: the logits of gathered features, which no head computes from a pool."""

import pytest
import torch

from fewshot.heads import HEADS
from fewshot.heads.inductive.linear import LinearHead
from fewshot.heads.task_head import TaskHead
from tests.fewshot.heads.tasks import Pool, random_tasks

LINEAR = [name for name, head in HEADS.items() if issubclass(head, LinearHead)]


def gathered(head: TaskHead, pool: Pool, base_mean: torch.Tensor | None) -> torch.Tensor:
    """Return the logits from copies of the features."""
    features, tasks = pool
    support, query = features[tasks.support], features[tasks.query]
    return head(support, tasks.support_labels, query, tasks.n_way, base_mean)


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("features", ["UN", "L2N", "CL2N"])
@pytest.mark.parametrize("with_base", [False, True])
@pytest.mark.parametrize("shots", [1, 4])
def test_a_pool_gives_the_same_logits(
    name: str, features: str, with_base: bool, shots: int
) -> None:
    pool = random_tasks(shots=shots, unequal=shots > 1)
    base_mean = pool.features.mean(0) + 0.1 if with_base else None
    head = HEADS[name](features=features)
    logits = head.on_pool(pool.features, base_mean)(pool.tasks)
    assert logits.shape == (4, 75, 5)
    torch.testing.assert_close(logits, gathered(head, pool, base_mean), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LINEAR)
def test_chunks_of_tasks_give_the_same_logits(name: str) -> None:
    pool = random_tasks(5)
    classify = HEADS[name]().on_pool(pool.features)
    parts = torch.cat([classify(pool.tasks[:2]), classify(pool.tasks[2:])])
    torch.testing.assert_close(parts, classify(pool.tasks), rtol=1e-5, atol=1e-5)


def test_a_query_at_the_centre_of_the_support_gets_finite_logits() -> None:
    features, tasks = random_tasks(2, shots=1)
    features = torch.cat([features, features[tasks.support[0]].mean(0, keepdim=True)])
    tasks.query[0, 0] = len(features) - 1
    logits = HEADS["nearest-mean"]().on_pool(features)(tasks)
    assert logits.isfinite().all()
    assert logits[0, 0].std() < 0.1
