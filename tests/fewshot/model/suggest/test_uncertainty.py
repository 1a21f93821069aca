"""How unsure a classifier is.

Oracle: the margin of scikit-learn's logistic regression, and counts by hand.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from fewshot.model.suggest import uncertainty


def test_the_margin_orders_images_as_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(2, 5))
    labels = np.arange(20) % 2
    labelled = centres[labels] + random.normal(0, 0.3, (20, 5))
    features = random.normal(size=(50, 5))
    ours = uncertainty.of_labels(
        torch.tensor(features, dtype=torch.float32),
        torch.tensor(labelled, dtype=torch.float32),
        torch.from_numpy(labels),
        2,
    )

    def prepared(rows: np.ndarray) -> np.ndarray:
        centred = rows - labelled.mean(0)
        return centred / np.linalg.norm(centred, axis=1, keepdims=True)

    other = LogisticRegression(C=1.0).fit(prepared(labelled), labels)
    margins = np.ptp(other.predict_proba(prepared(features)), axis=1)
    assert ours is not None
    assert (np.argsort(-ours.numpy()) == np.argsort(margins)).all()


def test_each_class_needs_two_labels() -> None:
    features = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    for labels, n_way, is_enough in (
        ([0, 0, 1, 1], 2, True),
        ([0, 0, 1], 2, False),
        ([0, 0, 1, 1], 3, False),
        ([0, 0], 1, False),
        ([], 0, False),
    ):
        known = torch.tensor(labels, dtype=torch.int64)
        result = uncertainty.of_labels(features, features[: len(labels)], known, n_way)
        assert (result is not None) == is_enough
