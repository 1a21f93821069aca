"""Scores against scikit-learn, SciPy and nested loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve
from torch import Tensor
from torch.nn import functional as F

from fewshot.evaluation import metrics

N_WAY = 5


def predictions(n: int = 300, absent: int | None = None) -> tuple[Tensor, Tensor]:
    """Logits that are right more often than not, and their labels; `absent` is never predicted."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(N_WAY, (n,), generator=draw)
    logits = torch.randn(n, N_WAY, generator=draw) + 1.5 * torch.eye(N_WAY)[labels]
    if absent is not None:
        logits[:, absent] -= 100
    return logits, labels


def slow_calibration_error(probabilities: np.ndarray, labels: np.ndarray, n_bins: int) -> float:
    """Guo et al., equations 1 to 3: bin m holds the confidences in ((m-1)/M, m/M]."""
    total = 0.0
    for m in range(1, n_bins + 1):
        right, confidence, size = 0.0, 0.0, 0
        for row, label in zip(probabilities, labels, strict=True):
            best = max(row)
            if (m - 1) / n_bins < best <= m / n_bins:
                size += 1
                confidence += best
                right += list(row).index(best) == label
        if size:
            total += size / len(labels) * abs(right / size - confidence / size)
    return total


@pytest.mark.parametrize("absent", [None, 3])
def test_scores_against_scikit_learn(absent: int | None):
    logits, labels = predictions(absent=absent)
    result = metrics.scores(logits, labels)
    y, guess = labels.numpy(), logits.argmax(1).numpy()
    probabilities = softmax(logits.double().numpy(), axis=1)
    assert result.accuracy == pytest.approx(reference.accuracy_score(y, guess))
    assert result.precision == pytest.approx(
        reference.precision_score(y, guess, average="macro", zero_division=0)
    )
    assert result.recall == pytest.approx(reference.recall_score(y, guess, average="macro"))
    assert result.f1 == pytest.approx(
        reference.f1_score(y, guess, average="macro", zero_division=0)
    )
    # log_loss cuts probabilities off near zero, so a class 100 nats away is compared by hand
    if absent is None:
        assert result.loss == pytest.approx(reference.log_loss(y, probabilities))
    rows = [
        math.log(sum(math.exp(z) for z in row)) - row[label]
        for row, label in zip(logits.tolist(), y, strict=True)
    ]
    assert result.loss == pytest.approx(sum(rows) / len(rows))
    assert result.ece == pytest.approx(slow_calibration_error(probabilities, y, 15))


@pytest.mark.parametrize("absent", [None, 3])
def test_confusion_and_per_class_against_counting(absent: int | None):
    logits, labels = predictions(absent=absent)
    result = metrics.scores(logits, labels)
    counts = [[0] * N_WAY for _ in range(N_WAY)]
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        counts[label][row.index(max(row))] += 1
    assert result.confusion == counts
    assert result.per_class == pytest.approx(
        [row[label] / sum(row) for label, row in enumerate(counts)]
    )
    if absent is not None:
        assert result.per_class[absent] == 0
        assert result.recall == pytest.approx(sum(result.per_class) / N_WAY)


def test_a_class_without_images_does_not_count_and_keeps_its_place():
    result = metrics.scores(torch.eye(3)[[0, 0, 2]], torch.tensor([0, 0, 2]))
    assert result.per_class == [1, None, 1]
    assert result.confusion == [[2, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert result.accuracy == result.precision == result.recall == result.f1 == 1


@pytest.mark.parametrize("untested", [(3,), (0, 4)])
def test_macro_scores_are_scikit_learns_over_the_classes_with_images(untested: tuple[int, ...]):
    logits, labels = predictions()
    has_images = ~torch.isin(labels, torch.tensor(untested))
    result = metrics.scores(logits[has_images], labels[has_images])
    y, guess = labels[has_images].numpy(), logits[has_images].argmax(1).numpy()
    assert set(untested) & set(guess)  # such a class is predicted, but no image is of it
    assert result.recall == pytest.approx(
        reference.recall_score(y, guess, average="macro", labels=np.unique(y))
    )
    report = reference.classification_report(y, guess, output_dict=True, zero_division=0)
    rows = [report[str(label)] for label in np.unique(y)]
    assert result.precision == pytest.approx(np.mean([row["precision"] for row in rows]))
    assert result.f1 == pytest.approx(np.mean([row["f1-score"] for row in rows]))
    assert [way for way, value in enumerate(result.per_class) if value is None] == list(untested)


def test_numbers_are_plain_floats_of_the_seven_scores():
    numbers = metrics.scores(*predictions()).numbers()
    assert list(numbers) == ["accuracy", "precision", "recall", "f1", "loss", "ece", "brier"]
    assert {type(value) for value in numbers.values()} == {float}


@pytest.mark.parametrize("n_bins", [1, 2, 15, 100])
def test_calibration_error_against_the_paper_s_loops(n_bins: int):
    logits, labels = predictions()
    for sharpness in (0.2, 1, 5):
        probabilities = softmax(sharpness * logits.double().numpy(), axis=1)
        result = metrics.calibration_error(probabilities, labels.numpy(), n_bins)
        assert result == pytest.approx(
            slow_calibration_error(probabilities, labels.numpy(), n_bins), abs=1e-12
        )


def test_calibration_error_on_the_edges_of_bins():
    confidence = np.array(
        [1.0, 1.0, 0.75, 0.8, 0.5, 0.6, 0.625]
    )  # with four bins, exact in binary where it matters
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.array([0, 1, 0, 1, 1, 0, 0])
    result = metrics.calibration_error(probabilities, labels, n_bins=4)
    assert result == pytest.approx(slow_calibration_error(probabilities, labels, 4))
    # by hand: (1/4, 1/2] holds 0.5; (1/2, 3/4] holds 0.75, 0.6, 0.625; (3/4, 1] holds 1, 1, 0.8
    assert result == pytest.approx((abs(0 - 0.5) + abs(3 - 1.975) + abs(1 - 2.8)) / 7)


def test_certain_classifiers_are_calibrated_if_right_and_not_if_wrong():
    certain = np.eye(3)
    assert metrics.calibration_error(certain, np.array([0, 1, 2])) == 0
    assert metrics.calibration_error(certain, np.array([1, 2, 0])) == 1


@pytest.mark.parametrize("factor", [0.1, 0.7, 1.0, 6.0])
def test_the_loss_at_the_best_temperature_is_the_least_and_ignores_confidence(factor: float):
    labels = torch.arange(600) % 4
    logits = torch.randn(600, 4, generator=torch.Generator().manual_seed(0)) + F.one_hot(labels, 4)
    result = metrics.loss_at_best_temperature(factor * logits, labels)
    oracle = minimize_scalar(
        lambda log_scale: F.cross_entropy(math.exp(log_scale) * logits.double(), labels).item(),
        bounds=(-4, 4),
    )
    assert result["loss"] == pytest.approx(oracle.fun, abs=1e-3)
    assert result["accuracy"] == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_clean_accuracy_is_scikit_learns_on_the_other_images():
    logits, labels = predictions()
    faulty = [0, 7, 8, 250, 299]
    result = metrics.scores(logits, labels, torch.tensor(faulty))
    y, guess = np.delete(labels.numpy(), faulty), np.delete(logits.argmax(1).numpy(), faulty)
    assert result.clean_accuracy == pytest.approx(reference.accuracy_score(y, guess))
    assert result.numbers()["clean_accuracy"] == result.clean_accuracy
    assert metrics.scores(logits, labels)._replace(clean_accuracy=0.5) == result._replace(
        clean_accuracy=0.5
    )
    assert "clean_accuracy" not in metrics.scores(logits, labels).numbers()


def test_brier_is_the_sum_of_scikit_learns_scores_of_each_class():
    logits, labels = predictions()
    probabilities = softmax(logits.double().numpy(), axis=1)
    by_class = [
        reference.brier_score_loss(labels.numpy() == way, probabilities[:, way])
        for way in range(N_WAY)
    ]
    assert metrics.scores(logits, labels).brier == pytest.approx(sum(by_class))
    assert metrics.brier_score(np.eye(3), np.array([0, 1, 2])) == 0
    assert metrics.brier_score(np.eye(3), np.array([1, 2, 0])) == 2


def test_balanced_accuracy_is_scikit_learns():
    logits, labels = predictions()
    expected = reference.balanced_accuracy_score(labels.numpy(), logits.argmax(1).numpy())
    assert metrics.scores(logits, labels).recall == pytest.approx(expected)


def test_calibration_error_from_scikit_learns_calibration_curve():
    logits, labels = predictions()
    probabilities = softmax(logits.double().numpy(), axis=1)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels.numpy()
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=15)
    counts = np.histogram(confidence, np.linspace(0, 1, 16))[0]
    expected = (abs(accuracy - mean_confidence) * counts[counts > 0]).sum() / len(labels)
    assert metrics.calibration_error(probabilities, labels.numpy()) == pytest.approx(expected)


def test_weighted_images_count_as_if_repeated():
    logits, labels = predictions()
    weights = torch.arange(len(labels)) % 3
    repeated = torch.repeat_interleave(torch.arange(len(labels)), weights)
    for measure in (metrics.loss_and_accuracy, metrics.loss_at_best_temperature):
        weighted = measure(logits, labels, weights.float())
        assert weighted == pytest.approx(measure(logits[repeated], labels[repeated]), rel=1e-4)
