"""SciPy's t and Wilson intervals, roots of the score equation, sums of the paper, simulation."""

from __future__ import annotations

import statistics as standard_library

import numpy as np
import pytest
import torch
from scipy import optimize, special, stats

from episodes import subsets
from fewshot.evaluation import statistics
from fewshot.evaluation.statistics import Interval, Score


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_a_summary_agrees_with_the_interval_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(0.7, 0.05, n).tolist()
    score = statistics.summary(values)
    low, high = stats.t.interval(0.95, n - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (score.mean - score.ci95, score.mean + score.ci95) == pytest.approx((low, high))
    if low >= 0 and high <= 1:
        assert score.over_trials() == pytest.approx((low, high))
    assert score.std == pytest.approx(standard_library.stdev(values))
    assert score.values == values
    assert Score.from_json(score.to_json()) == score
    assert "image_std" not in score.to_json()


def test_one_value_has_no_spread_and_equal_values_show_none() -> None:
    assert statistics.summary([0.5]) == Score(0.5, None, None, [0.5])
    assert statistics.summary([0.5, 0.5, 0.5]) == Score(0.5, 0.0, 0.0, [0.5] * 3)
    assert str(Score(0.5, None, None, [0.5])) == "0.5000"
    for equal in ([0.5] * 3, [0.1 + 0.2, 0.3, 0.3]):  # the second differs by rounding
        assert statistics.summary(equal).over_trials() is None
        assert "±" not in str(statistics.summary(equal))


@pytest.mark.parametrize(("right", "images"), [(2, 2), (0, 7), (177, 180), (6970, 10000)])
def test_one_trial_has_the_interval_of_wilson(right: int, images: int) -> None:
    expected = stats.binomtest(right, images).proportion_ci(0.95, method="wilson")
    score = Score(right / images, None, None, [right / images])
    assert score.with_test_images(images) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("values", "images"), [([0.69, 0.70, 0.72], 10000), ([0.99, 1.0], 360)])
@pytest.mark.parametrize("known", [True, False])
def test_half_widths_are_added_as_squares_in_the_form_of_wilson(
    values: list[float], images: int, known: bool
) -> None:
    """The ends are the shares p with (mean - p)^2 = w p (1 - p), found by bisection."""
    rng = np.random.default_rng(0)
    correct = rng.random((len(values), images)) < np.array(values)[:, None]
    means = correct.mean(1)
    score = statistics.summary(means.tolist())
    mean = means.mean()
    per_image = correct.mean(0)
    variance = mean * (1 - mean)
    if known:
        score = Score(
            score.mean, score.std, score.ci95, score.values, statistics.image_std(correct)
        )
        variance = sum((one - mean) ** 2 for one in per_image) / (images - 1)
    half_trials = stats.t.ppf(0.975, len(means) - 1) * stats.sem(means)
    squared = half_trials**2 + stats.norm.ppf(0.975) ** 2 * variance / images
    weight = squared / (mean * (1 - mean))

    def off(p: float) -> float:
        return (mean - p) ** 2 - weight * p * (1 - p)

    expected = optimize.bisect(off, 0, mean), optimize.bisect(off, mean, 1)
    assert score.with_test_images(images) == pytest.approx(expected)


def test_no_interval_leaves_the_range_and_none_has_no_width() -> None:
    near = statistics.summary([1.0, 0.995, 0.999])
    assert near.mean + near.ci95 > 1
    low, high = near.over_trials()
    assert 0.97 < low < near.mean < high < 1
    assert str(near) == f"{near.mean:.4f} ({low:.4f} to {high:.4f})"
    assert near.text(".1f", 100) == f"{100 * near.mean:.1f} ({100 * low:.1f} to {100 * high:.1f})"
    assert near.text(share=False) == f"{near.mean:.4f} ± {near.ci95:.4f}"
    sure = statistics.summary([1.0, 1.0, 1.0])
    assert sure.with_test_images(2) == pytest.approx((0.3424, 1), abs=1e-4)
    rng = np.random.default_rng(0)
    for _ in range(200):
        images, trials = int(rng.integers(1, 50)), int(rng.integers(1, 12))
        values = rng.binomial(images, rng.choice([0.01, 0.5, 0.99]), trials) / images
        score = statistics.summary(values.tolist())
        for interval in filter(None, (score.over_trials(), score.with_test_images(images))):
            assert 0 <= interval.low <= score.mean <= interval.high <= 1
            assert interval.low < interval.high


def test_unknown_images_give_the_wider_interval() -> None:
    """No spread over images is larger than that of trials which agree about every image."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        correct = rng.random((4, 30)) < rng.random(30)
        means = correct.mean(1).tolist()
        unknown = statistics.summary(means)
        known = Score(*list(vars(unknown).values())[:4], statistics.image_std(correct))
        wide, narrow = unknown.with_test_images(30), known.with_test_images(30)
        assert wide.high - wide.low > 0.97 * (narrow.high - narrow.low)  # n - 1 against n
    same = np.repeat(correct[:1], 4, axis=0)
    assert statistics.image_std(same) == pytest.approx(np.std(same[0], ddof=1))
    assert statistics.image_std(correct[:1]) is None
    assert statistics.image_std(correct[:, :1]) is None


@pytest.mark.parametrize(
    ("n", "images", "spread"), [(3, 360, 0.1), (5, 1000, 0.1), (10, 360, 0.1), (10, 1000, 0.4)]
)
def test_simulated_coverage_is_nominal(n: int, images: int, spread: float) -> None:
    """Trials and images are both sampled; that over trials alone misses the true accuracy."""
    rng, repetitions, accuracy = np.random.default_rng(0), 600, 0.8
    middle = special.ndtri(accuracy) * np.sqrt(1 + spread**2 + 1.5**2)
    hits = {"over trials": 0, "given these images": 0, "with test images": 0, "fallback": 0}

    def count(name: str, interval: Interval, truth: float) -> None:
        hits[name] += interval.low <= truth <= interval.high

    for _ in range(repetitions):
        images_ease, trials_luck = rng.normal(0, 1.5, images), rng.normal(0, spread, (n, 1))
        chances = special.ndtr(middle + images_ease + trials_luck)
        correct = rng.random((n, images)) < chances
        score = statistics.summary(correct.mean(1).tolist())
        full = Score(score.mean, score.std, score.ci95, score.values, statistics.image_std(correct))
        of_these = special.ndtr((middle + images_ease) / np.sqrt(1 + spread**2)).mean()
        over_trials = score.over_trials() or Interval(score.mean, score.mean)
        count("over trials", over_trials, accuracy)
        count("given these images", over_trials, of_these)
        count("with test images", full.with_test_images(images), accuracy)
        count("fallback", score.with_test_images(images), accuracy)
    two_errors = 2 * (0.95 * 0.05 / repetitions) ** 0.5
    shares = {name: count / repetitions for name, count in hits.items()}
    assert abs(shares["given these images"] - 0.95) < two_errors
    assert shares["with test images"] > 0.95 - two_errors
    assert shares["fallback"] >= shares["with test images"]
    if spread < 0.4:
        assert shares["over trials"] < 0.95 - 2 * two_errors


def corrected(values: list[float], folds: int) -> tuple[float, float]:
    """Return the standard error of a cross-validation and the quantile, by the sums of the paper.

    Nadeau and Bengio, equation 19: mean, and (1 / J + n2 / n1) times the variance of J values.
    """
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    error = (variance / len(values) + variance * (1 / folds) / ((folds - 1) / folds)) ** 0.5
    return error, stats.t.ppf(0.975, len(values) - 1)


@pytest.mark.parametrize(("folds", "repeats"), [(5, 2), (10, 1), (2, 3)])
def test_a_cross_validation_has_the_interval_of_nadeau_and_bengio(folds: int, repeats: int) -> None:
    values = np.random.default_rng(folds).normal(0.7, 0.05, folds * repeats).tolist()
    score = statistics.summary(values, 1 / (folds - 1))
    error, quantile = corrected(values, folds)
    assert score.ci95 == pytest.approx(quantile * error)
    assert score.ci95 > 1.4 * statistics.summary(values).ci95
    assert Score.from_json(score.to_json()) == score
    low, high = score.with_test_images(10_000)
    assert high - low == pytest.approx(2 * score.ci95, rel=0.15)  # Wilson's form of the same
    assert "test_to_train" not in statistics.summary(values).to_json()


def test_folds_without_a_mistake_still_have_the_interval_of_their_images() -> None:
    score = statistics.summary([1.0] * 10, 1 / 4)
    assert score.over_trials() is None
    expected = stats.binomtest(50, 50).proportion_ci(0.95, method="wilson")
    assert score.with_test_images(50) == pytest.approx((expected.low, expected.high))


@pytest.mark.slow
def test_the_corrected_interval_contains_the_accuracy_and_the_plain_one_too_rarely() -> None:
    """The truth is known: nearest means of two normal classes, for many training sets."""
    rng, rounds, n, d, shift = np.random.default_rng(0), 200, 60, 20, 0.5
    labels = torch.arange(n) % 2
    truths, plain, wide = [], 0, 0
    samples = []
    for number in range(rounds):
        x = rng.normal(size=(n, d))
        x[:, 0] += np.where(labels.numpy(), shift, -shift)
        accuracies = []
        for trial in range(10):
            tested = subsets.fold_of_each(labels, 5, 2 * number + trial // 5).numpy() == trial % 5
            means = [x[~tested & (labels.numpy() == label)].mean(0) for label in (0, 1)]
            weight, middle = means[1] - means[0], (means[0] + means[1]) / 2
            predicted = (x[tested] - middle) @ weight > 0
            accuracies.append(float((predicted == labels.numpy()[tested]).mean()))
            scale, centre = np.linalg.norm(weight), np.eye(d)[0] * shift
            truths += [special.ndtr((centre - side * middle) @ weight / scale) for side in (1, -1)]
        samples.append(accuracies)
    truth = np.mean(truths)
    for accuracies in samples:
        mean = np.mean(accuracies)
        plain += abs(mean - truth) <= statistics.summary(accuracies).ci95
        wide += abs(mean - truth) <= statistics.summary(accuracies, 1 / 4).ci95
    assert plain / rounds < 0.85
    assert 0.89 < wide / rounds < 0.99
