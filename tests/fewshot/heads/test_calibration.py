"""Oracles: Bayes' rule in numpy, scipy's minimiser of the likelihood, and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from fewshot.heads import calibration
from fewshot.heads.calibration import Calibration

CLASSES = ("ant", "bee", "cat")
COUNTS = torch.tensor([2, 30, 8])


def predictions(n: int = 60, sharpness: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are right more often than not, and too sure of it or too timid."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, n)
    logits = sharpness * (np.eye(3)[labels] + random.normal(0, 0.9, (n, 3)))
    return torch.tensor(logits, dtype=torch.float32), torch.tensor(labels)


def shifted(logits: torch.Tensor, shift: torch.Tensor | None) -> torch.Tensor:
    return Calibration(shift).shifted(lambda images: images)(logits)


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        ("balanced", [1, 1, 1]),
        ("training", [2, 30, 8]),
        ({"cat": 5.0}, [1, 1, 5]),
        ({"ant": 0.5, "bee": 0.25, "cat": 0.25}, [0.5, 0.25, 0.25]),
    ],
)
def test_a_shift_replaces_the_prior_by_bayes_rule(prior, expected) -> None:
    """Two Gaussians per class give likelihoods; the posterior under any prior is known."""
    random = np.random.default_rng(1)
    likelihoods = random.uniform(0.05, 1, (40, 3))
    learned = likelihoods * COUNTS.numpy()
    logits = torch.tensor(np.log(learned / learned.sum(1, keepdims=True)))
    shift = calibration.prior_shift(prior, CLASSES, COUNTS, learned=True)
    ours = shifted(logits, shift).softmax(1).numpy()
    posterior = likelihoods * np.array(expected)
    np.testing.assert_allclose(ours, posterior / posterior.sum(1, keepdims=True), rtol=1e-5)
    # a classifier of distances contains no prior
    shift = calibration.prior_shift(prior, CLASSES, COUNTS, learned=False)
    ours = shifted(torch.tensor(np.log(likelihoods)), shift).softmax(1).numpy()
    np.testing.assert_allclose(ours, posterior / posterior.sum(1, keepdims=True), rtol=1e-5)


def test_without_evidence_a_shifted_logistic_regression_has_the_prior_of_class_weights() -> None:
    """Features that say nothing leave the intercept alone, which class weights make equal."""
    random = np.random.default_rng(2)
    labels = np.repeat(np.arange(3), COUNTS)
    features = random.normal(0, 1e-3, (len(labels), 4))
    plain = LogisticRegression(C=1.0).fit(features, labels)
    weighted = LogisticRegression(C=1.0, class_weight="balanced").fit(features, labels)
    logits = torch.tensor(plain.decision_function(features))
    shift = calibration.prior_shift("balanced", CLASSES, COUNTS, learned=True)
    ours = shifted(logits, shift).softmax(1).numpy()
    np.testing.assert_allclose(ours, weighted.predict_proba(features), atol=2e-3)
    assert plain.predict_proba(features)[:, 1].min() > 0.7


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("prior", ["balanced", "training"])
def test_equal_counts_change_nothing(prior, learned: bool) -> None:
    random = np.random.default_rng(4)
    for count, n_way in zip(
        random.integers(1, 10**6, 300), random.integers(2, 300, 300), strict=True
    ):
        classes = [str(way) for way in range(n_way)]
        counts = torch.full((int(n_way),), int(count))
        assert calibration.prior_shift(prior, classes, counts, learned) is None

    def classify(images: torch.Tensor) -> torch.Tensor:
        return images

    assert Calibration(None).shifted(classify) is classify


def test_the_training_prior_of_a_learned_one_changes_nothing() -> None:
    assert calibration.prior_shift("training", CLASSES, COUNTS, learned=True) is None


@pytest.mark.parametrize("prior", ["balanced", "training"])
def test_without_labels_no_class_is_preferred(prior) -> None:
    assert calibration.prior_shift(prior, CLASSES, torch.zeros(3), learned=False) is None


@pytest.mark.parametrize("sharpness", [0.05, 1.0, 8.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_is_where_scipy_finds_the_least_likelihood(
    sharpness: float, weighted: bool
) -> None:
    logits, labels = predictions(sharpness=sharpness)
    weights = torch.linspace(0.1, 2, len(labels)) if weighted else None

    def negative_log_likelihood(log_temperature: float) -> float:
        log_p = log_softmax(logits.double().numpy() / math.exp(log_temperature), axis=1)
        own = log_p[np.arange(len(labels)), labels.numpy()]
        return float(-(own if weights is None else weights.numpy() * own).sum())

    reference = minimize_scalar(negative_log_likelihood, bounds=(-7, 7), method="bounded")
    temperature = calibration.choose_temperature(logits, labels, weights)
    assert math.log(temperature) == pytest.approx(reference.x, abs=1e-3)


@pytest.mark.parametrize("tolerance", [0.01, 0.2, 100.0])
def test_an_expected_temperature_counts_as_a_normal_prior_of_its_logarithm(
    tolerance: float,
) -> None:
    logits, labels = predictions(n=12)

    def negative_log_posterior(log_temperature: float) -> float:
        log_p = log_softmax(logits.double().numpy() / math.exp(log_temperature), axis=1)
        own = log_p[np.arange(len(labels)), labels.numpy()]
        return float(-own.sum()) + (log_temperature - math.log(0.5)) ** 2 / (2 * tolerance**2)

    reference = minimize_scalar(negative_log_posterior, bounds=(-7, 7), method="bounded")
    temperature = calibration.choose_temperature(logits, labels, expected=0.5, tolerance=tolerance)
    assert math.log(temperature) == pytest.approx(reference.x, abs=1e-3)


def test_a_temperature_leaves_every_decision_as_it_was() -> None:
    logits, labels = predictions()
    temperature = calibration.choose_temperature(logits, labels)
    assert temperature != 1
    calibrated = Calibration(None, temperature).calibrated(lambda images: images)(logits)
    assert torch.equal(calibrated.argmax(1), logits.argmax(1))
    np.testing.assert_allclose(
        calibrated.softmax(1).numpy(), softmax(logits.numpy() / temperature, axis=1), rtol=1e-4
    )


def test_image_weights_make_the_classes_as_frequent_as_expected() -> None:
    labels = torch.tensor([0] * 3 + [1] * 10 + [2])
    expected = torch.tensor([1.0, 1.0, 4.0], dtype=torch.float64)
    weights = calibration.image_weights(labels, expected)
    assert weights is not None
    totals = [sum(weights[i].item() for i in range(14) if labels[i] == way) for way in range(3)]
    assert np.array(totals) / totals[0] == pytest.approx([1, 1, 4], rel=1e-5)
    # Kish's effective number, from relative weights by hand
    by_hand = [1 / 3] * 3 + [1 / 10] * 10 + [4.0]
    effective = sum(by_hand) ** 2 / sum(weight**2 for weight in by_hand)
    assert sum(totals) == pytest.approx(effective, rel=1e-5)


def test_images_of_equal_classes_have_no_weights() -> None:
    labels = torch.tensor([2, 0, 1, 1, 0, 2])
    assert calibration.image_weights(labels, torch.ones(3, dtype=torch.float64)) is None


def test_the_relative_spread_is_the_ratio_of_mean_standard_deviations() -> None:
    logits, _ = predictions()
    others, _ = predictions(sharpness=0.5)
    ratio = np.mean([row.std(ddof=1) for row in logits.numpy()]) / np.mean(
        [row.std(ddof=1) for row in others.numpy()]
    )
    assert calibration.relative_spread(logits, others) == pytest.approx(ratio, rel=1e-5)
    assert calibration.relative_spread(logits, torch.zeros(4, 3)) == 1
    assert calibration.relative_spread(torch.zeros(4, 3), logits) == 1


def test_the_cosine_reference_against_a_loop() -> None:
    random = np.random.default_rng(3)
    support, queries = random.normal(1, 1, (6, 5)), random.normal(1, 1, (4, 5))
    labels = np.array([0, 1, 2, 2, 1, 0])
    unit = [row / np.linalg.norm(row) for row in support - support.mean(0)]
    expected = np.zeros((4, 3))
    for way in range(3):
        mean = np.mean([unit[i] for i in range(6) if labels[i] == way], axis=0)
        for i, query in enumerate(queries - support.mean(0)):
            cosine = query @ mean / np.linalg.norm(query) / np.linalg.norm(mean)
            expected[i, way] = 10 * cosine
    arrays = (torch.tensor(support), torch.tensor(labels), 3, torch.tensor(queries))
    np.testing.assert_allclose(calibration.cosine_reference(*arrays).numpy(), expected)
