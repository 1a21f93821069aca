"""Intervals and paired differences against SciPy, and Holm's correction against its definition."""

from __future__ import annotations

import statistics as standard_library

import numpy as np
import pytest
from scipy import stats

from fewshot.evaluation import statistics
from fewshot.evaluation.statistics import Difference, Score


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_a_summary_agrees_with_the_interval_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(0.7, 0.05, n).tolist()
    score = statistics.summary(values)
    low, high = stats.t.interval(0.95, n - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (score.mean - score.ci95, score.mean + score.ci95) == pytest.approx((low, high))
    assert score.std == pytest.approx(standard_library.stdev(values))
    assert score.values == values
    assert Score.from_json(score.to_json()) == score


def test_one_value_has_no_spread_and_equal_values_have_none() -> None:
    assert statistics.summary([0.5]) == Score(0.5, None, None, [0.5])
    assert statistics.summary([0.5, 0.5, 0.5]) == Score(0.5, 0.0, 0.0, [0.5] * 3)
    assert str(Score(0.5, None, None, [0.5])) == "0.5000"


@pytest.mark.parametrize("n", [2, 3, 10])
def test_a_paired_difference_agrees_with_the_paired_t_test_of_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    ours = dict(enumerate(rng.normal(0.7, 0.05, n).tolist()))
    theirs = dict(enumerate(rng.normal(0.6, 0.05, n).tolist()))
    difference = statistics.paired_difference(ours, theirs | {99: 0.5})
    expected = stats.ttest_rel(list(ours.values()), list(theirs.values()))
    interval = expected.confidence_interval(0.95)
    assert (difference.n, difference.p) == (n, pytest.approx(expected.pvalue))
    assert difference.mean - difference.half == pytest.approx(interval.low)
    assert difference.mean + difference.half == pytest.approx(interval.high)


def test_differences_without_spread_or_pairs() -> None:
    assert statistics.difference([0.2, 0.2, 0.2]) == Difference(3, pytest.approx(0.2), 0.0, 0.0)
    assert statistics.difference([0.0, 0.0]).p == 1.0
    assert statistics.difference([0.1]) == Difference(1, 0.1, None, None)
    assert np.isnan(statistics.difference([]).mean)


def test_holm_rejects_what_the_step_down_procedure_rejects() -> None:
    """The paper: from the smallest p-value up, stop at the first that is not below its level."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    rng = np.random.default_rng(0)
    for _ in range(50):
        p_values = (rng.random(6) ** 4).tolist()
        rejected = set()
        for rank, index in enumerate(np.argsort(p_values).tolist()):
            if p_values[index] > 0.05 / (6 - rank):
                break
            rejected.add(index)
        corrected = statistics.holm(p_values)
        assert {index for index, p in enumerate(corrected) if p <= 0.05} == rejected


def test_differences_of_few_trials_are_no_comparisons() -> None:
    few, some, more = (Difference(n, 0.1, 0.1, 0.03) for n in (2, 3, 4))
    corrected = statistics.holm_corrected([few, some, more])
    assert [one.p for one in corrected] == [None, 0.06, 0.06]
