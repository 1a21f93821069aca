"""Oracles: scikit-learn's heads fitted again without each image, and nested loops over means."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from torch import Tensor
from torch.nn import functional as F

from fewshot.model import refitting
from fewshot.model.classifier import Recipe


def task(n_way: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return labelled features, the same and a query prepared, and the labels of all."""
    generator = torch.Generator().manual_seed(n_way)
    labels = torch.arange(7 * n_way + 1) % n_way
    means = torch.randn(n_way, 12, generator=generator, dtype=torch.float64)
    x = 3 + means[labels] + torch.randn(len(labels), 12, generator=generator, dtype=torch.float64)
    return x, F.normalize(x - x.mean(0), dim=1), labels


def scores(x: Tensor, labels: Tensor, n_way: int, recipe: Recipe) -> Tensor:
    gram = refitting.prepared_gram(x[:-1], x[-1:], recipe)
    return refitting.scores(gram, labels, [str(c) for c in range(n_way)], recipe)[0]


@pytest.mark.parametrize("n_way", [2, 4])
def test_ridge_is_that_without_each_image(n_way: int) -> None:
    x, prepared, labels = task(n_way)
    counts = labels.bincount()
    weights = (len(labels) / (n_way * counts))[labels].numpy()
    expected = []
    for i in range(len(labels)):
        rows = np.flatnonzero(np.arange(len(labels)) != i)
        model = RidgeClassifier(alpha=1 / 0.7)
        model.fit(prepared[rows], labels[rows].numpy(), sample_weight=weights[rows])
        f = torch.tensor(model.decision_function(prepared[i : i + 1]))
        logits = torch.stack([-f, f], 1) / 2 if n_way == 2 else f
        expected.append(1 - float((10 * logits).softmax(1)[0, labels[i]]))
    got = scores(x, labels, n_way, Recipe("ridge", c=0.7))
    assert got.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["nearest-mean", "cosine"])
def test_means_are_those_of_the_others(kind: str) -> None:
    x, prepared, labels = task(3)
    expected = []
    for i, own in enumerate(labels.tolist()):
        logits = []
        for c in range(3):
            rows = [j for j in range(len(labels)) if labels[j] == c and j != i]
            mean = prepared[rows].mean(0)
            near = F.cosine_similarity(prepared[i], mean, dim=0)
            logits.append(near if kind == "cosine" else -(prepared[i] - mean).square().sum())
        expected.append(1 - float((10 * torch.stack(logits)).softmax(0)[own]))
    got = scores(x, labels, 3, Recipe(kind))  # type: ignore[arg-type]
    assert got.tolist() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("n_way", [2, 4])
def test_logistic_regression_is_near_that_without_each_image(n_way: int) -> None:
    x, prepared, labels = task(n_way)
    with_all, without = [], []
    for rows_of, results in ((False, with_all), (True, without)):
        for i in range(len(labels)):
            rows = np.flatnonzero(np.arange(len(labels)) != i) if rows_of else slice(None)
            model = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000)
            model.fit(prepared[rows], labels[rows].numpy())
            results.append(1 - model.predict_proba(prepared[i : i + 1])[0, labels[i]])
    got = scores(x, labels, n_way, Recipe("logistic", prior="training")).numpy()
    error, change = np.abs(got - without), np.abs(np.array(with_all) - without)
    assert error.mean() < 0.15 * change.mean()
    assert error.max() < 0.04


def test_an_image_alone_in_its_class_has_the_largest_score() -> None:
    x, _, labels = task(3)
    labels = torch.cat([labels[:-1] % 2, torch.tensor([2])])
    assert float(scores(x, labels, 3, Recipe("nearest-mean"))[-1]) == 1.0


def test_the_order_of_images_does_not_matter() -> None:
    x, _, labels = task(4)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    recipe = Recipe("logistic")
    first, second = scores(x, labels, 4, recipe), scores(x[order], labels[order], 4, recipe)
    assert torch.allclose(first[order], second, atol=1e-6)
