"""Sentences about scores that show less than they seem to. Imports no torch.

A record's accuracy is compared with what guessing gets: a binomial test at the size of the test
set, against the share of the class with the most test images. Where the classes have unequal
numbers of test images, the balanced accuracy is tested as well.
"""

from __future__ import annotations

import math

import numpy as np

from fewshot.runs.run_record import Baseline, RunRecord

SIGNIFICANCE = 0.05
FEW_IMAGES = 30  # with fewer test images, a record says so and no row of a table is bold
MANY_IMAGES = 1000  # with fewer, the sentence about chance adds that they may be too few


def doubts(record: RunRecord) -> list[str]:
    """Return what a reader of the accuracy of a record must know: a tiny test set, mere chance."""
    baseline = record.baseline
    if baseline is None:
        return []
    accuracy, n_test = record.scores["accuracy"], record.n_test
    sentences = []
    if n_test < FEW_IMAGES:
        images = "1 test image" if n_test == 1 else f"{n_test} test images"
        sentences.append(
            f"there {'is' if n_test == 1 else 'are'} only {images}, so that one image is worth "
            f"{100 / n_test:.3g} points of accuracy: read the interval with test images"
        )
    if baseline.accuracy == 1:  # one class alone is tested
        return [*sentences, f"all test images are of class '{baseline.name}'"]
    is_chance = is_guessing(accuracy.mean, n_test, baseline.accuracy)
    if record.unequal_test:
        return sentences + _of_unequal_classes(record, baseline, is_chance)
    if is_chance:
        return [*sentences, _near_chance(record, "accuracy", baseline.chance)]
    if record.folds is not None:  # few images a trial
        return sentences
    guessing = [is_guessing(value, n_test, baseline.accuracy) for value in accuracy.values]
    if any(guessing):
        sentences.append(
            f"the accuracy of {sum(guessing)} of {len(guessing)} trials is near chance, which is "
            f"{baseline.chance:.3g}"
        )
    return sentences


def is_guessing(accuracy: float, n_test: int, share: float) -> bool:
    """Return whether guesses are right as often in more than 5% of cases (binomial test).

    Args:
        accuracy: share of the test images that are classified correctly.
        n_test: number of test images.
        share: probability that a guess is right.
    """
    from scipy.special import bdtrc

    n_right = round(accuracy * n_test)
    return n_right == 0 or float(bdtrc(n_right - 1, n_test, share)) > SIGNIFICANCE


def balanced_guessing(counts: np.ndarray) -> bool:
    """Return whether the balanced accuracy is that of predictions unrelated to the classes.

    This is a permutation test: with the same predictions in any order, a balanced accuracy as high
    as this one occurs in more than 5% of cases, by the normal distribution with the exact mean and
    variance over all orders.

    Args:
        counts: numbers of test images, [true class][predicted class].

    Source: Hoeffding, A combinatorial central limit theorem, 1951.
    """
    from scipy.special import ndtr

    true, predicted, n = counts.sum(1), counts.sum(0), counts.sum()
    tested = true > 0
    worth = np.zeros(counts.shape)  # what each test image adds to the sum of the recalls
    worth[tested, tested] = 1 / true[tested]
    by_class, by_prediction = worth @ predicted / n, true @ worth / n
    centred = worth - by_class[:, None] - by_prediction + true @ by_class / n
    variance = float(true @ centred**2 @ predicted) / (n - 1)
    excess = float((worth * counts).sum()) - float(true @ by_class)
    if variance <= 1e-12:  # every prediction is the same
        return True
    return float(ndtr(-excess / math.sqrt(variance))) > SIGNIFICANCE


def _of_unequal_classes(record: RunRecord, baseline: Baseline, is_chance: bool) -> list[str]:
    """Return the doubts where the classes have unequal numbers of test images."""
    accuracy, balanced = record.scores["accuracy"].mean, record.scores["recall"].mean
    sentences = []
    if is_chance:
        better = "is not clearly above" if accuracy >= baseline.accuracy else "is below"
        sentences.append(
            f"the accuracy, {accuracy:.4f}, {better} {baseline.accuracy:.4f}, which the answer "
            f"'{baseline.name}' to every test image would get: read the balanced accuracy, "
            f"{balanced:.4f}, for which guessing gets {baseline.chance:.4f}"
        )
    counts = np.array(record.confusion) / record.times_tested
    if balanced_guessing(counts):
        sentences.append(_near_chance(record, "recall", baseline.chance))
    return sentences


def _near_chance(record: RunRecord, metric: str, chance: float) -> str:
    """Return the sentence about an accuracy that guessing may reach."""
    all_right = chance**record.n_test  # probability
    if all_right > SIGNIFICANCE:
        return (
            "so few test images cannot show whether anything was learned: guessing gets all of "
            f"them right in {all_right:.0%} of cases"
        )
    name = "balanced accuracy" if metric == "recall" else "accuracy"
    predicted = np.flatnonzero(np.sum(record.confusion, axis=0))
    only = ""
    if len(predicted) == 1:
        only = f"; every test image is classified as '{record.classes[predicted[0]]}'"
    few = ", or the test images are too few to show it" if record.n_test < MANY_IMAGES else ""
    return (
        f"the {name}, {record.scores[metric].mean:.4f}, is near chance, which is {chance:.3g}: "
        f"little or nothing was learned{few}{only}"
    )
