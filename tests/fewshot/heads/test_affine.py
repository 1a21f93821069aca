"""Oracle: the same heads as functions (heads/nearest_mean.py) and scikit-learn's probabilities."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from fewshot.heads import affine, nearest_mean


def task(n_way: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(n_way).repeat_interleave(5)
    centres = torch.randn(n_way, 7, generator=random)
    features = centres[labels] + torch.randn(len(labels), 7, generator=random) + 3
    return features, labels, torch.randn(11, 7, generator=random) + 3


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("kind", ["nearest-mean", "cosine"])
def test_heads_of_means_are_affine(kind: affine.Kind, centre: bool, normalise: bool) -> None:
    features, labels, queries = task()
    head = affine.fit(features, labels, 4, kind=kind, scale=3.0, centre=centre, normalise=normalise)
    mean = features.mean(0) if centre else torch.zeros(7)
    x, q = features - mean, queries - mean
    if normalise:
        x, q = F.normalize(x, dim=1), F.normalize(q, dim=1)
    distance = "cosine" if kind == "cosine" else "euclidean"
    expected = nearest_mean.fit(x, labels, 4, distance=distance, scale=3.0)(q)
    torch.testing.assert_close(head(queries).softmax(1), expected.softmax(1))


@pytest.mark.parametrize("n_way", [2, 4])
def test_logistic_regression_has_the_probabilities_of_scikit_learn(n_way: int) -> None:
    features, labels, queries = task(n_way)
    head = affine.fit(features, labels, n_way, c=2.0, centre=False, normalise=False)
    model = LogisticRegression(C=2.0, max_iter=1000).fit(features, labels)
    expected = torch.from_numpy(model.predict_proba(queries)).float()
    torch.testing.assert_close(head(queries).softmax(1), expected, atol=1e-3, rtol=0)
