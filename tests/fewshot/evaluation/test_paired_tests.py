"""Paired tests against SciPy, Holm's correction against its definition, all pairs by simulation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from fewshot.evaluation import paired_tests
from fewshot.evaluation.paired_tests import AllPairs, BySeed, Difference, comparable_means


@pytest.mark.parametrize("n", [2, 3, 10])
def test_a_paired_difference_agrees_with_the_paired_t_test_of_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    ours = dict(enumerate(rng.normal(0.7, 0.05, n).tolist()))
    theirs = dict(enumerate(rng.normal(0.6, 0.05, n).tolist()))
    difference = paired_tests.paired_difference(ours, theirs | {99: 0.5})
    expected = stats.ttest_rel(list(ours.values()), list(theirs.values()))
    interval = expected.confidence_interval(0.95)
    assert (difference.n, difference.p) == (n, pytest.approx(expected.pvalue))
    assert difference.mean - difference.half == pytest.approx(interval.low)
    assert difference.mean + difference.half == pytest.approx(interval.high)


def test_differences_without_spread_or_pairs() -> None:
    for n, p in ((2, 0.5), (3, 0.25), (10, 2 / 1024)):  # two of 2^n choices of signs are as far off
        assert paired_tests.difference([0.2] * n) == Difference(n, pytest.approx(0.2), None, p)
    assert paired_tests.difference([0.0, 0.0]) == Difference(2, 0.0, 0.0, 1.0)
    assert paired_tests.difference([0.1]) == Difference(1, 0.1, None, None)
    assert np.isnan(paired_tests.difference([]).mean)


def test_holm_rejects_what_the_step_down_procedure_rejects() -> None:
    """The paper: from the smallest p-value up, stop at the first that is not below its level."""
    assert paired_tests.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    rng = np.random.default_rng(0)
    for _ in range(50):
        p_values = (rng.random(6) ** 4).tolist()
        rejected = set()
        for rank, index in enumerate(np.argsort(p_values).tolist()):
            if p_values[index] > 0.05 / (6 - rank):
                break
            rejected.add(index)
        corrected = paired_tests.holm(p_values)
        assert {index for index, p in enumerate(corrected) if p <= 0.05} == rejected


def test_differences_of_few_trials_are_no_comparisons() -> None:
    few, some, more = (Difference(n, 0.1, 0.1, 0.03) for n in (2, 3, 4))
    corrected = paired_tests.holm_corrected([few, some, more])
    assert [one.p for one in corrected] == [None, 0.06, 0.06]
    assert not few.significant
    assert some.significant


def test_a_lead_is_clear_if_it_is_significant_and_positive() -> None:
    ahead, behind = Difference(5, 0.1, 0.02, 0.001), Difference(5, -0.1, 0.02, 0.001)
    unsure, few = Difference(5, 0.1, 0.2, 0.3), Difference(2, 0.1, 0.02, 0.001)
    assert behind.significant
    clear = [one.is_clear_lead for one in (ahead, behind, unsure, few)]
    assert clear == [True, False, False, False]


def test_all_pairs_of_all_groups_share_one_correction() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.normal(0.7, 0.01, (4, 5)), rng.normal(0.5, 0.01, (2, 5))]
    pairs = AllPairs([[dict(enumerate(row)) for row in group] for group in groups])
    raw = {}
    for number, group in enumerate(groups):
        for first, second in combinations(range(len(group)), 2):
            raw[number, first, second] = stats.ttest_rel(group[first], group[second]).pvalue
    assert pairs.comparisons == len(raw) == 7
    least = 0.0
    for rank, (number, first, second) in enumerate(sorted(raw, key=lambda key: raw[key])):
        least = max(least, min(1, (7 - rank) * raw[number, first, second]))
        forward = pairs.difference(first, second, number)
        backward = pairs.difference(second, first, number)
        assert forward.p == backward.p == pytest.approx(least)
        expected = np.mean(groups[number][first] - groups[number][second])
        assert (forward.mean, backward.mean) == pytest.approx((expected, -expected))
    assert pairs.difference(1, 1) == Difference(5, 0.0, None, None)


def test_means_are_compared_over_common_trials() -> None:
    many = dict(enumerate([0.8, 0.8, 0.5, 0.5]))
    easy, apart = {0: 0.7, 1: 0.8}, {7: 0.9}
    assert comparable_means([easy, many, apart]) == pytest.approx([0.65 - 0.05, 0.65, 0.9])
    assert comparable_means([]) == []


def test_only_a_member_ahead_of_all_others_is_a_clear_winner() -> None:
    shared = np.random.default_rng(0).normal(0, 0.02, 10)
    noise = np.random.default_rng(1).normal(0, 0.002, (4, 10))

    def members(*means: float) -> list[dict[int | None, float]]:
        return [
            dict(enumerate(mean + shared + row)) for mean, row in zip(means, noise, strict=False)
        ]

    assert paired_tests.clear_winner(members(0.6, 0.7, 0.5)) == 1
    assert paired_tests.clear_winner(members(0.7, 0.7, 0.5)) is None
    assert paired_tests.clear_winner(members(0.7)) is None
    few = [{seed: one[seed] for seed in (0, 1)} for one in members(0.6, 0.7)]
    assert paired_tests.clear_winner(few) is None


@pytest.mark.parametrize("unequal", [False, True])
def test_false_findings_about_a_winner_are_as_rare_as_promised(unequal: bool) -> None:
    """Eight equal methods; tests of the winner against the others alone find too many."""
    rng, repetitions, methods, n = np.random.default_rng(0), 250, 8, 10
    spreads = np.geomspace(0.3, 3, methods) if unequal else np.ones(methods)
    false, false_of_the_old_rule = 0, 0
    for _ in range(repetitions):
        values = rng.normal(0, 2, n) + rng.normal(size=(methods, n)) * spreads[:, None]
        members = [dict(enumerate(row)) for row in values]
        pairs = AllPairs([members])
        p_values = [pairs.difference(*pair).p for pair in combinations(range(methods), 2)]
        false += min(p_values) < 0.05
        best = int(values.mean(1).argmax())
        others = [stats.ttest_rel(values[best], row).pvalue for row in np.delete(values, best, 0)]
        false_of_the_old_rule += (methods - 1) * min(others) < 0.05
    two_errors = 2 * (0.05 * 0.95 / repetitions) ** 0.5
    assert false / repetitions < 0.05 + two_errors
    if not unequal:
        assert false / repetitions > 0.05 - two_errors
        assert false_of_the_old_rule / repetitions > 0.05 + two_errors


@pytest.mark.parametrize("methods", [5, 8])
def test_false_findings_are_rare_on_few_test_images(methods: int) -> None:
    """Equal methods, three trials, 20 test images: three differences are often equal by chance."""
    rng, repetitions, n_images = np.random.default_rng(0), 200, 20
    false = 0
    for _ in range(repetitions):
        accuracies = rng.binomial(n_images, 0.9, (methods, 3)) / n_images
        pairs = AllPairs([[dict(enumerate(row)) for row in accuracies.tolist()]])
        tests = [pairs.difference(*pair) for pair in combinations(range(methods), 2)]
        false += any(test.significant for test in tests)
    assert false / repetitions < 0.05 + 2 * (0.05 * 0.95 / repetitions) ** 0.5


def test_the_difference_of_two_cross_validations_has_the_corrected_test() -> None:
    rng, folds = np.random.default_rng(0), 5
    ours, theirs = rng.normal(0.72, 0.05, 10).tolist(), rng.normal(0.68, 0.05, 10).tolist()
    one, other = (BySeed(dict(enumerate(values)), 1 / (folds - 1)) for values in (ours, theirs))
    difference = paired_tests.paired_difference(one, other)
    values = [mine - its for mine, its in zip(ours, theirs, strict=True)]
    mean = sum(values) / 10
    variance = sum((value - mean) ** 2 for value in values) / 9
    t = mean / (variance * (1 / 10 + 1 / 4)) ** 0.5  # Nadeau and Bengio, 2003
    assert difference.p == pytest.approx(2 * stats.t.sf(abs(t), 9))
    assert difference.half == pytest.approx(stats.t.ppf(0.975, 9) * abs(mean / t))
    plain = paired_tests.paired_difference(dict(one), dict(other))
    assert plain.half < difference.half
    pairs = AllPairs([[one, other]])
    assert pairs.difference(0, 1).p == pytest.approx(difference.p)
