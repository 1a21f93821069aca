"""Simulate how often intervals contain the truth, and how often tests find what is not there.

Coverage: a trial classifies an image correctly if the sum of the image's ease, the trial's luck and
noise, all normal, is positive. Trials and images are both sampled, so the true accuracy is known,
and so is the accuracy that infinitely many trials would have on the sampled images.

False findings: trials share a normal effect, methods add normal noise to it, and all methods are
equally good. A false finding is any sentence that the best method is better than another. Power:
the first method is better than the others by `LEAD` standard deviations of a difference.

    python -m benchmarks.statistics_simulation [--rounds 2000]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy import special, stats

from benchmarks import common
from fewshot.evaluation.statistics import Interval, Score, image_std, summary

TRIALS = (1, 3, 5, 10)
LEVEL = 0.05
LEAD = 1.5
SETTINGS = ((6, 6), (6, 6, 6, 6), (24, 1), (24, 1, 1, 1), (24, 1, 1, 1, 1, 1, 1, 1))  # of rows
METHODS = (2, 3, 5, 8, 12)


class Task(NamedTuple):
    """A test set and how its images and the trials differ, on the scale of the noise.

    The settings of the first four resemble published records; the others are extreme.
    """

    name: str
    images: int
    accuracy: float
    trial_spread: float
    image_spread: float


TASKS = (
    Task("10,000 images, accuracy 0.70", 10000, 0.70, 0.03, 1.5),
    Task("10,000 images, accuracy 0.45", 10000, 0.45, 0.09, 1.2),
    Task("1,000 images, accuracy 0.80", 1000, 0.80, 0.10, 1.5),
    Task("360 images, accuracy 0.95", 360, 0.95, 0.12, 1.5),
    Task("360 images, accuracy 0.995", 360, 0.995, 0.10, 1.0),
    Task("50 images, accuracy 0.80", 50, 0.80, 0.10, 1.5),
    Task("1,000 images that are alike", 1000, 0.80, 0.10, 0.3),
    Task("1,000 images, trials that differ much", 1000, 0.60, 0.40, 1.0),
)


def simulated(task: Task, trials: int, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
    """Return one experiment.

    Returns:
        Whether each trial is right about each image [n_trials, n_test], and the accuracy that
        further trials would have on these images, and that of the first trial on further images.
    """
    middle = special.ndtri(task.accuracy) * np.sqrt(1 + task.trial_spread**2 + task.image_spread**2)
    ease = rng.normal(0, task.image_spread, task.images)
    luck = rng.normal(0, task.trial_spread, (trials, 1))
    noise = rng.standard_normal((trials, task.images), dtype=np.float32)
    correct = noise < (middle + ease + luck).astype(np.float32)
    of_images = special.ndtr((middle + ease) / np.sqrt(1 + task.trial_spread**2)).mean()
    of_trial = special.ndtr((middle + luck[0, 0]) / np.sqrt(1 + task.image_spread**2))
    return correct, float(of_images), float(of_trial)


def coverage(task: Task, trials: int, rounds: int) -> dict[str, Any]:
    """Return the share of intervals that contain the truth, and their mean widths."""
    rng = np.random.default_rng(trials)
    hits: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}

    def note(name: str, interval: Interval, truth: float) -> None:
        hits.setdefault(name, []).append(interval.low <= truth <= interval.high)
        widths.setdefault(name, []).append(interval.high - interval.low)

    for _ in range(rounds):
        correct, of_images, of_trial = simulated(task, trials, rng)
        unknown = summary(correct.mean(1).tolist())
        known = Score(unknown.mean, unknown.std, unknown.ci95, unknown.values, image_std(correct))
        if trials == 1:
            note("with test images", known.with_test_images(task.images), of_trial)
            continue
        half = unknown.ci95 or 0.0
        plain = Interval(unknown.mean - half, unknown.mean + half)
        over_trials = unknown.over_trials() or Interval(unknown.mean, unknown.mean)
        note("over trials, for these images", over_trials, of_images)
        note("over trials, for all images", plain, task.accuracy)
        note("with test images", known.with_test_images(task.images), task.accuracy)
        note(
            "with test images, spread unknown", unknown.with_test_images(task.images), task.accuracy
        )
    return {
        "task": task.name,
        "trials": trials,
        "inside": {name: float(np.mean(of_name)) for name, of_name in hits.items()},
        "width": {name: float(np.mean(of_name)) for name, of_name in widths.items()},
    }


def p_values(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return two-sided p-values of paired t-tests over the last axis."""
    differences = one - other
    n = differences.shape[-1]
    t = differences.mean(-1) / (differences.std(-1, ddof=1) / np.sqrt(n))
    return 2 * special.stdtr(n - 1, -np.abs(t))


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values [m] corrected by Holm's method."""
    order = np.argsort(p)
    corrected = np.empty_like(p)
    factors = np.arange(len(p), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return corrected


class Verdict(NamedTuple):
    """Which of the others [k - 1] the best method is better than, by each rule."""

    against_the_others: np.ndarray
    all_pairs: np.ndarray
    tukey: np.ndarray


@cache
def tukey_limit(k: int, n: int) -> float:
    """Return the quantile of the studentized range of k methods in n trials."""
    return float(stats.studentized_range.isf(LEVEL, k, (k - 1) * (n - 1)))


def verdict(values: np.ndarray) -> Verdict:
    """Return what each rule says of the values [k, n] of k methods in n trials.

    Source of the third: Tukey, The problem of multiple comparisons, 1953, with trials as blocks.
    """
    k, n = values.shape
    means = values.mean(1)
    best = int(means.argmax())
    others = [method for method in range(k) if method != best]
    pairs = list(combinations(range(k), 2))
    first, second = np.array(pairs).T
    of_pair = dict(zip(pairs, holm(p_values(values[first], values[second])), strict=True))
    every = np.array([of_pair[min(best, other), max(best, other)] for other in others])
    rest = values - means[:, None] - values.mean(0) + values.mean()
    error = np.sqrt((rest**2).sum() / ((k - 1) * (n - 1)) / n)
    return Verdict(
        holm(p_values(values[best], values[others])) < LEVEL,
        every < LEVEL,
        (means[best] - means[others]) / error > tukey_limit(k, n),
    )


def sampled(k: int, n: int, unequal: bool, rounds: int) -> Iterator[np.ndarray]:
    """Yield the values [k, n] of k equally good methods in n trials."""
    rng = np.random.default_rng(k * n)
    spreads = np.geomspace(0.3, 3, k) if unequal else np.ones(k)
    for _ in range(rounds):
        yield rng.normal(0, 2, n) + rng.normal(size=(k, n)) * spreads[:, None]


def false_findings(k: int, n: int, unequal: bool, rounds: int) -> dict[str, Any]:
    """Return the share of experiments with a false finding, and the power, by rule."""
    false, power = np.zeros(3), np.zeros(3)
    for values in sampled(k, n, unequal, rounds):
        false += [any(rule) for rule in verdict(values)]
        better = values.copy()
        better[0] += LEAD * np.sqrt(2)
        if better.mean(1).argmax() == 0:
            power += [np.mean(rule) for rule in verdict(better)]
    spreads = "unequal" if unequal else "equal"
    shares = {"false": (false / rounds).tolist(), "power": (power / rounds).tolist()}
    return {"methods": k, "trials": n, "spreads": spreads, **shares}


def chosen_settings(sizes: Sequence[int], n: int, rounds: int) -> dict[str, Any]:
    """Return false findings if each row competes with the best of its equally good settings.

    Args:
        sizes: number of settings of each row.
        n: number of trials.
        rounds: number of experiments.
    """
    false = np.zeros(2)
    ends = np.cumsum(sizes)
    pairs = np.array(list(combinations(range(ends[-1]), 2)))
    for values in sampled(int(ends[-1]), n, False, rounds):
        means = values.mean(1)
        best_of_row = [
            end - size + int(means[end - size : end].argmax())
            for size, end in zip(sizes, ends, strict=True)
        ]
        false[0] += verdict(values[best_of_row]).against_the_others.any()
        corrected = holm(p_values(values[pairs[:, 0]], values[pairs[:, 1]]))
        tested = np.isin(pairs, best_of_row).all(1) & (pairs == means.argmax()).any(1)
        false[1] += (corrected[tested] < LEVEL).any()
    return {"settings": list(sizes), "trials": n, "false": (false / rounds).tolist()}


def main() -> None:
    """Simulate everything and write the result."""
    options = common.parser(__doc__, "statistics_simulation", rounds=2000).parse_args()
    n = options.rounds
    kinds = [
        (k, trials, unequal) for unequal in (False, True) for k in METHODS for trials in TRIALS[1:]
    ]
    result = {
        "what": "simulated coverage of intervals and false findings of tests",
        "n": n,
        "rules": list(Verdict._fields),
        "coverage": [coverage(task, trials, n) for task in TASKS for trials in TRIALS],
        "findings": [false_findings(*kind, n) for kind in kinds],
        "chosen": [chosen_settings(sizes, 10, n) for sizes in SETTINGS],
        "versions": {"numpy": np.__version__},
    }
    common.write(options.out, result, ("n", "chosen"))


if __name__ == "__main__":
    main()
