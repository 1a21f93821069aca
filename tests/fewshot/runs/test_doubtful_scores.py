"""Doubts about scores against SciPy's binomial test, permutations of predictions and counting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from fewshot.runs.assembly import assemble
from fewshot.runs.doubtful_scores import FEW_IMAGES, balanced_guessing, doubts, is_guessing
from fewshot.runs.run_record import RunRecord
from fewshot.runs.trial_record import TrialRecord
from tests.fewshot.runs.handmade import FACTS, trial


def scored(confusion: list[list[int]], seed: int = 0) -> TrialRecord:
    counts = np.array(confusion)
    rows = counts.sum(1)
    recalls = [counts[way, way] / rows[way] if rows[way] else None for way in range(len(rows))]
    recall = float(np.mean([one for one in recalls if one is not None]))
    scores = {"accuracy": float(np.trace(counts) / counts.sum()), "recall": recall}
    return trial(seed, 0.5, scores=scores, per_class=recalls, confusion=confusion, warnings=[])


def record(*confusions: list[list[int]]) -> RunRecord:
    n_way, n_test = len(confusions[0]), int(np.sum(confusions[0]))
    names = ["normal", "defect", *"cdefghij"][:n_way]
    facts = replace(FACTS, classes=names, n_test=n_test)
    return assemble(facts, "f", [scored(one, seed) for seed, one in enumerate(confusions)])


@pytest.mark.parametrize("n_test", [2, 20, 100, 10_000])
@pytest.mark.parametrize("share", [0.005, 0.1, 0.5, 0.95])
def test_guessing_is_the_one_sided_binomial_test(n_test: int, share: float) -> None:
    for n_right in {0, n_test, round(share * n_test), round(share * n_test * 1.3 + 1)}:
        right = min(n_right, n_test)
        p = binomtest(right, n_test, share, alternative="greater").pvalue
        assert is_guessing(right / n_test, n_test, share) == (p > 0.05)


def test_much_above_chance_among_many_classes_is_not_near_chance() -> None:
    # 200 classes and 10,000 images: 289 are right, where guesses are right 50 times
    assert not is_guessing(0.0289, 10_000, 1 / 200)
    assert is_guessing(0.0055, 10_000, 1 / 200)


@pytest.mark.parametrize("seed", range(12))
def test_balanced_guessing_agrees_with_permutations(seed: int) -> None:
    random = np.random.default_rng(seed)
    n_way = 2 + seed % 3
    true = random.choice(n_way, 300, p=[0.8, *[0.2 / (n_way - 1)] * (n_way - 1)])
    predicted = random.integers(n_way, size=300)
    if seed % 2:
        copied = random.random(300) < 0.25
        predicted[copied] = true[copied]
    ours = balanced_accuracy_score(true, predicted)
    others = [balanced_accuracy_score(true, random.permutation(predicted)) for _ in range(400)]
    p = (1 + sum(other >= ours for other in others)) / 401
    if not 0.02 < p < 0.1:  # the permutations themselves are a sample
        assert balanced_guessing(confusion_matrix(true, predicted)) == (p > 0.05)


def test_the_answer_that_is_right_for_most_images_is_named_where_it_is_as_good() -> None:
    [majority, chance] = doubts(record([[95, 0], [5, 0]]))
    assert "0.9500" in majority
    assert "'normal' to every test image" in majority
    assert "the balanced accuracy, 0.5000, for which guessing gets 0.5000" in majority
    assert "near chance, which is 0.5" in chance
    assert "every test image is classified as 'normal'" in chance


def test_a_learned_classifier_below_the_majority_is_not_called_unlearned() -> None:
    [majority] = doubts(record([[80, 15], [0, 5]]))
    assert "0.8500, is below 0.9500" in majority
    assert doubts(record([[95, 0], [0, 5]])) == []


def test_equal_classes_are_compared_with_chance() -> None:
    [near] = doubts(record([[30, 20], [22, 28]]))  # 58 of 100: p = 0.067
    assert "near chance, which is 0.5" in near
    assert doubts(record([[30, 20], [15, 35]])) == []  # 65 of 100: p = 0.002


def test_classes_that_are_not_tested_do_not_lower_chance() -> None:
    confusion = [[26, 24, 0, 0], [25, 25, 0, 0], [0] * 4, [0] * 4]
    assert record(confusion).baseline == ("normal", 0.5, 0.5)
    [near] = doubts(record(confusion))
    assert "near chance, which is 0.5" in near


def test_one_failed_trial_of_several_is_mentioned() -> None:
    good, failed = [[400, 100], [100, 400]], [[500, 0], [500, 0]]
    assert doubts(record(good, failed, good)) == [
        "the accuracy of 1 of 3 trials is near chance, which is 0.5"
    ]
    assert doubts(record(good, good)) == []


def test_a_tiny_test_set_is_mentioned_and_can_show_nothing() -> None:
    few, nothing = doubts(record([[1, 0], [0, 1]]))
    assert "only 2 test images, so that one image is worth 50 points" in few
    assert "all of them right in 25% of cases" in nothing
    half = FEW_IMAGES // 2
    assert len(doubts(record([[half - 1, 0], [0, half - 1]]))) == 1
    assert doubts(record([[half, 0], [0, half]])) == []


def test_one_tested_class_is_mentioned() -> None:
    assert doubts(record([[40, 10], [0, 0]])) == ["all test images are of class 'normal'"]
