"""Accuracy over tasks against SciPy's t interval and paired t test, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fewshot.evaluation import task_scores
from fewshot.evaluation.task_scores import TaskScore


@pytest.mark.parametrize("n", [2, 3, 40, 2000])
@pytest.mark.parametrize("unequal", [False, True])
def test_the_interval_is_that_of_scipy(n: int, unequal: bool):
    generator = np.random.default_rng(n)
    n_queries = generator.integers(20, 80, n) if unequal else np.full(n, 75)
    correct = generator.binomial(n_queries, 0.6)
    score = task_scores.over_tasks(correct.tolist(), n_queries.tolist() if unequal else 75)
    shares = [right / number for right, number in zip(correct, n_queries, strict=True)]
    low, high = stats.t.interval(0.95, n - 1, loc=np.mean(shares), scale=stats.sem(shares))
    assert (score.mean - score.ci95, score.mean + score.ci95) == pytest.approx((low, high))
    assert score.std == pytest.approx(np.std(shares, ddof=1))
    assert score.n == n
    assert TaskScore.from_json(score.to_json()) == score


def test_a_single_task_has_no_interval():
    score = task_scores.over_tasks([30], 60)
    assert score == TaskScore(0.5, None, None, 1)
    assert str(score) == "50.00"
    assert str(TaskScore(0.5, 0.1, 0.0123, 100)) == "50.00 ± 1.23"


def test_a_paired_difference_is_scipys_paired_t_test():
    generator = np.random.default_rng(0)
    ours, theirs = generator.binomial(75, 0.62, 500) / 75, generator.binomial(75, 0.6, 500) / 75
    result = task_scores.paired(ours, theirs)
    expected = stats.ttest_rel(ours, theirs)
    interval = expected.confidence_interval(0.95)
    assert result.p == pytest.approx(expected.pvalue)
    assert result.mean - result.half == pytest.approx(interval.low)
    assert result.n == 500


def test_only_identical_tasks_are_paired():
    with pytest.raises(ValueError, match="not the same: 3 and 4"):
        task_scores.paired(np.zeros(3), np.zeros(4))


@pytest.mark.slow
def test_each_interval_contains_what_it_is_about_in_95_of_100_cases():
    """A classifier that is right on each image or is not: pools of images, tasks from each pool.

    The interval of tasks with replacement contains the share of correct images of the pool, and
    that of tasks without a common image contains the share of the population.
    """
    generator = np.random.default_rng(1)
    n_pools, n_images, n_queries, rate = 1000, 1500, 15, 0.6
    pool_hits = population_hits = closed_for_population = 0
    for _ in range(n_pools):
        pool = generator.random(n_images) < rate
        again = pool[generator.integers(0, n_images, (600, n_queries))].sum(1)
        apart = pool[generator.permutation(n_images).reshape(-1, n_queries)].sum(1)
        closed = task_scores.over_tasks(again.tolist(), n_queries)
        opened = task_scores.over_tasks(apart.tolist(), n_queries)
        pool_hits += abs(closed.mean - pool.mean()) <= closed.ci95
        population_hits += abs(opened.mean - rate) <= opened.ci95
        closed_for_population += abs(closed.mean - rate) <= closed.ci95
    assert 0.93 < pool_hits / n_pools < 0.97
    assert 0.93 < population_hits / n_pools < 0.97
    assert closed_for_population / n_pools < 0.75  # why the second interval is needed
