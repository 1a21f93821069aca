"""Tasks of runs against the samplers, and properties that can be counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from episodes import datasets
from episodes.tasks import files, sampling
from fewshot.config import TaskSettings
from fewshot.errors import UserError
from fewshot.runs.episodic import task_sets
from fewshot.runs.episodic.pool import Pool

SETTINGS = TaskSettings(ways=3, shots=2, queries=4, count=8, seed=5)


@pytest.fixture
def pool(colours: Path) -> Pool:
    return Pool.of(datasets.load(str(colours)))


def test_fixed_tasks_are_those_of_the_sampler(pool: Pool):
    ((tasks,), _) = task_sets.of_run(SETTINGS, pool)
    expected = sampling.fixed(pool.labels, ways=3, shots=2, queries=4, count=8, seed=5)
    assert torch.equal(tasks.support, expected.support)
    assert torch.equal(tasks.query, expected.query)
    others = task_sets.of_run(SETTINGS.model_copy(update={"balance": "dirichlet"}), pool).tasks[0]
    assert not torch.equal(others.query, expected.query)
    assert others.query.shape == expected.query.shape


def test_varying_tasks_vary(pool: Pool):
    tasks = task_sets.of_run(TaskSettings(sampler="varying", count=30), pool).tasks
    assert sum(map(len, tasks)) == 30
    assert len({some.n_way for some in tasks}) > 2
    assert not task_sets.without_replacement(TaskSettings(sampler="varying"), pool)


def test_tasks_without_replacement_have_no_common_image(pool: Pool):
    (tasks,) = task_sets.without_replacement(SETTINGS, pool)
    images = torch.cat([tasks.support, tasks.query], 1).flatten()
    assert len(images.unique()) == len(images)
    assert len(tasks) == 10 * (18 // 6) // 3
    assert task_sets.without_replacement(TaskSettings(ways=10, queries=16), pool) == ()
    unequal = SETTINGS.model_copy(update={"balance": "missing"})
    assert task_sets.without_replacement(unequal, pool) == ()


def test_tasks_of_a_file_are_described_by_what_they_are(pool: Pool, tmp_path: Path):
    tasks = task_sets.of_run(SETTINGS, pool).tasks
    files.write(tmp_path / "tasks.npz", tasks, pool)
    settings = TaskSettings(file=str(tmp_path / "tasks.npz"))
    read, described = task_sets.of_run(settings, pool)
    assert task_sets.fingerprint(read) == task_sets.fingerprint(tasks)
    assert (described.ways, described.shots, described.queries, described.count) == (3, 2, 4, 8)
    assert described.balance == "balanced"
    assert task_sets.of_run(SETTINGS, pool).settings is SETTINGS


def test_a_file_of_unequal_queries_is_not_described_as_balanced(pool: Pool, tmp_path: Path):
    unequal = SETTINGS.model_copy(update={"balance": "dirichlet", "concentration": 1.5})
    protocol = unequal.model_dump(mode="json", exclude={"file"})
    path = tmp_path / "tasks.npz"
    files.write(path, task_sets.of_run(unequal, pool).tasks, pool, protocol)
    settings = TaskSettings(file=str(path))
    described = task_sets.of_run(settings, pool).settings
    assert described == unequal.model_copy(update={"file": str(path)})
    files.write(path, task_sets.of_run(unequal, pool).tasks, pool, {"balance": "by hand"})
    assert task_sets.of_run(settings, pool).settings.balance == "balanced"


def test_the_fingerprint_changes_with_any_image(pool: Pool):
    tasks = task_sets.of_run(SETTINGS, pool).tasks
    before = task_sets.fingerprint(tasks)
    assert before == task_sets.fingerprint(task_sets.of_run(SETTINGS, pool).tasks)
    tasks[0].query[3, 1] += 1
    assert task_sets.fingerprint(tasks) != before


def test_superclasses_need_the_whole_data_set(pool: Pool):
    settings = TaskSettings(sampler="superclasses")
    with pytest.raises(UserError, match="has no superclasses"):
        task_sets.of_run(settings, pool)
    with pytest.raises(UserError, match="leave out --split"):
        task_sets.of_run(settings, Pool.of(pool.data, pool.classes[:4]))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"ways": 5}, "tasks.ways was set to 5, but it is 3"),
        ({"count": 9}, "tasks.count was set to 9, but it is 8"),
        ({"balance": "missing"}, "tasks.balance was set to missing, but it is balanced"),
        ({"seed": 6}, "tasks.seed was set to 6, but it is 5"),
    ],
)
def test_settings_that_the_tasks_of_a_file_do_not_have_are_refused(
    pool: Pool, tmp_path: Path, asked: dict[str, Any], words: str
):
    tasks, path = task_sets.of_run(SETTINGS, pool).tasks, tmp_path / "tasks.npz"
    files.write(path, tasks, pool, SETTINGS.model_dump(exclude={"file"}))
    with pytest.raises(UserError, match=words):
        task_sets.of_run(TaskSettings(file=str(path), **asked), pool)
    same = TaskSettings(file=str(path), ways=3, count=8, balance="balanced", seed=5)
    assert task_sets.of_run(same, pool).settings.queries == 4


def test_ways_and_balance_of_varying_tasks_are_refused(pool: Pool):
    for asked in ({"ways": 3}, {"balance": "dirichlet"}):
        settings = TaskSettings(sampler="varying", count=3, **asked)
        with pytest.raises(UserError, match="has no effect on tasks of the sampler 'varying'"):
            task_sets.of_run(settings, pool)
