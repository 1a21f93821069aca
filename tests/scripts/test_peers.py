"""Classifiers of other tools. Oracles: NumPy and scikit-learn in steps, and counting by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from episodes import subsets
from episodes.types import Features, FeatureSet
from scripts import peers


def separable(seed: int, n_per_class: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Return features [n, 6] of three classes that are far apart, on different scales."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), n_per_class)
    centres = 4 * np.eye(3, 6)
    features = (centres[labels] + rng.normal(size=(len(labels), 6))) * [1, 10, 0.1, 1, 5, 1]
    return features, labels


def test_autogluons_recipe_is_a_support_vector_machine_on_standardised_features() -> None:
    (features, labels), (others, _) = separable(0), separable(1)
    mean, std = features.mean(0), features.std(0)
    machine = SVC(gamma=1 / features.shape[1]).fit((features - mean) / std, labels)
    scores = np.exp(machine.decision_function((others - mean) / std))
    expected = scores / scores.sum(1, keepdims=True)
    np.testing.assert_allclose(peers.autogluon(features, labels, others), expected, rtol=1e-6)


def test_vyntri_gives_probabilities_and_separates_what_can_be_separated() -> None:
    pytest.importorskip("vyntri", reason="vyntri is not installed")
    (features, labels), (others, true) = separable(0), separable(1)
    probabilities = peers.vyntri(features, labels, others)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert (probabilities.argmax(1) == true).mean() > 0.9


def test_trials_learn_from_the_subsets_of_a_run_and_missing_results_alone_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [
        FeatureSet(torch.from_numpy(rows).as_subclass(Features), torch.from_numpy(labels), "abc")
        for rows, labels in (separable(0), separable(1))
    ]
    seen = []

    def first_class(features: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
        seen.append(features)
        return np.tile([0.5, 0.3, 0.2], (len(others), 1))

    monkeypatch.setattr(peers, "_features", lambda backbone, data: tuple(parts))
    monkeypatch.setattr(peers, "CLASSIFIERS", {"AutoGluon's recipe": first_class})
    for _ in range(2):
        peers.measure({"name": "conv4"}, "made", (2,), 3, tmp_path)
    assert len(seen) == 3
    for seed, features in enumerate(seen):
        rows = subsets.shots(parts[0].labels, ("a", "b", "c"), 2, seed)
        np.testing.assert_array_equal(features, parts[0].features[rows].numpy())
    result = peers.read(tmp_path, "AutoGluon's recipe", 2)
    assert result is not None
    assert result.accuracies == pytest.approx([1 / 3] * 3)
    assert result.errors == pytest.approx([0.5 - 1 / 3] * 3)  # one bin, its gap
    assert peers.read(tmp_path, "vyntri", 2) is None
