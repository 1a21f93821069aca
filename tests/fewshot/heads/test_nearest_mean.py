"""Oracles: a plain loop over queries and classes, and scikit-learn's NearestCentroid."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid

from fewshot.heads import nearest_mean
from tests.fewshot.heads.points import clusters


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_logits_agree_with_a_loop(distance: str) -> None:
    features, labels = clusters(3)
    queries, _ = clusters(3, seed=1)
    classify = nearest_mean.fit(features, labels, 3, distance=distance, scale=4.0)
    logits = classify(queries)
    for row, query in zip(logits, queries, strict=True):
        for label in range(3):
            mean = features[labels == label].mean(0)
            if distance == "euclidean":
                expected = -4.0 * sum((a - b) ** 2 for a, b in zip(query, mean, strict=True))
            else:
                expected = 4.0 * (query @ mean) / (query.norm() * mean.norm())
            assert float(row[label]) == pytest.approx(float(expected), rel=1e-4)


def test_classes_agree_with_scikit_learn() -> None:
    features, labels = clusters(5)
    queries, _ = clusters(5, seed=1)
    ours = nearest_mean.fit(features, labels, 5)(queries).argmax(1)
    theirs = NearestCentroid().fit(features.numpy(), labels.numpy()).predict(queries.numpy())
    np.testing.assert_array_equal(ours.numpy(), theirs)


def test_the_order_of_the_support_does_not_matter() -> None:
    features, labels = clusters(3)
    queries, _ = clusters(3, seed=1)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    logits = nearest_mean.fit(features, labels, 3)(queries)
    permuted = nearest_mean.fit(features[order], labels[order], 3)(queries)
    torch.testing.assert_close(logits, permuted)
