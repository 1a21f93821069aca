"""Oracle: scikit-learn's own estimators, used directly, and its folds by hand."""

from typing import Literal

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import StratifiedKFold

from episodes.rng import generator
from fewshot.heads import regression
from tests.fewshot.heads.points import clusters


@pytest.mark.parametrize("n_way", [2, 3, 5])
def test_logistic_probabilities_agree_with_scikit_learn(n_way: int) -> None:
    features, labels = clusters(n_way)
    queries, _ = clusters(n_way, seed=1)
    weight, bias = regression.fit(features, labels, n_way, c=0.3)
    assert weight.shape == (n_way, 10)
    ours = torch.softmax(queries @ weight.T + bias, 1)
    reference = LogisticRegression(C=0.3, max_iter=1000).fit(features.numpy(), labels.numpy())
    np.testing.assert_allclose(ours.numpy(), reference.predict_proba(queries.numpy()), atol=1e-3)


@pytest.mark.parametrize("n_way", [2, 3])
def test_ridge_logits_are_scikit_learns_times_the_scale(n_way: int) -> None:
    features, labels = clusters(n_way)
    queries, _ = clusters(n_way, seed=1)
    weight, bias = regression.fit(features, labels, n_way, kind="ridge", c=0.5, scale=3.0)
    logits = (queries @ weight.T + bias).numpy()
    reference = RidgeClassifier(alpha=2.0).fit(features.numpy(), labels.numpy())
    expected = 3.0 * reference.decision_function(queries.numpy())
    if n_way == 2:  # scikit-learn returns one number, whose sign decides between two classes
        np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected, rtol=1e-3, atol=1e-4)
    else:
        np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


def noisy(seed: int = 0, per_class: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    features, labels = clusters(3, per_class, n_features=40, seed=seed)
    noise = torch.randn(len(labels), 40, generator=torch.Generator().manual_seed(seed))
    return features + 4 * noise, labels


GRID = (1e-4, 1e-2, 1.0, 100.0)


def chosen(
    features: torch.Tensor,
    labels: torch.Tensor,
    c: tuple[float, ...],
    kind: Literal["logistic", "ridge"],
) -> float:
    """Return the value that a fit chose: the one whose own fit has its weights."""
    weight, _ = regression.fit(features, labels, 3, kind=kind, c=c)
    fits = [regression.fit(features, labels, 3, kind=kind, c=value)[0] for value in c]
    return next(value for value, fit in zip(c, fits, strict=True) if torch.equal(weight, fit))


def log_losses(
    features: np.ndarray, labels: np.ndarray, kind: Literal["logistic", "ridge"]
) -> list[float]:
    """Return the log-loss of every value of GRID, with scikit-learn's folds and estimators."""
    losses = np.zeros((len(GRID), len(labels)))
    for fitted, held_out in StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels):
        for row, c in zip(losses, GRID, strict=True):
            if kind == "logistic":
                model = LogisticRegression(C=c, max_iter=1000)
                logits = model.fit(features[fitted], labels[fitted]).decision_function(
                    features[held_out]
                ) - np.log(np.bincount(labels[fitted]))
            else:
                ridge = RidgeClassifier(alpha=1 / c, class_weight="balanced")
                logits = 10 * ridge.fit(features[fitted], labels[fitted]).decision_function(
                    features[held_out]
                )
            row[held_out] = logsumexp(logits, 1) - logits[range(len(held_out)), labels[held_out]]
    return [np.mean([row[labels == label].mean() for label in range(3)]) for row in losses]


@pytest.mark.parametrize("kind", ["logistic", "ridge"])
@pytest.mark.parametrize("smallest", [8, 5])
def test_the_value_is_chosen_whose_held_out_log_loss_is_least(kind: str, smallest: int) -> None:
    features, labels = noisy()
    rows = torch.cat(
        [(labels == label).nonzero()[: (smallest, 8, 8)[label], 0] for label in (0, 1, 2)]
    )
    features, labels = features[rows], labels[rows]
    direction = torch.randn(40, generator=generator(0, "folds-sort"), dtype=torch.float64)
    order = np.lexsort(((features.double() @ direction).numpy(), labels.numpy()))
    losses = log_losses(features.double().numpy()[order], labels.numpy()[order], kind)
    assert chosen(features, labels, GRID, kind) == GRID[int(np.argmin(losses))]


@pytest.mark.parametrize("c", [(1e-3, 1.0, 1e3), (1e3, 1.0, 1e-3)])
def test_between_values_of_equal_accuracy_the_probabilities_decide(
    c: tuple[float, ...],
) -> None:
    features, labels = clusters(3, per_class=10)
    features = 5 * features  # far apart, so that every value classifies all images
    weight, bias = regression.fit(features, labels, 3, c=c)
    probabilities = (features @ weight.T + bias).softmax(1)
    assert float(probabilities[range(30), labels].min()) > 0.99


@pytest.mark.parametrize("kind", ["logistic", "ridge"])
@pytest.mark.parametrize("seed", range(4))
def test_neither_the_order_of_images_nor_that_of_values_decides(kind: str, seed: int) -> None:
    features, labels = noisy(seed, per_class=10)
    choices = set()
    for number in range(6):
        random = torch.Generator().manual_seed(number)
        order = torch.randperm(len(labels), generator=random)
        grid = tuple(GRID[i] for i in torch.randperm(len(GRID), generator=random).tolist())
        choices.add(chosen(features[order], labels[order], grid, kind))
    assert len(choices) == 1


def test_with_one_image_per_class_the_middle_value_is_used() -> None:
    features, labels = clusters(3, per_class=1)
    weight, _ = regression.fit(features, labels, 3, c=(10.0, 0.01, 0.1))
    assert torch.equal(weight, regression.fit(features, labels, 3, c=0.1)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_result_has_the_precision_of_the_features(dtype: torch.dtype) -> None:
    features, labels = clusters(3)
    weight, bias = regression.fit(features.to(dtype), labels, 3)
    assert weight.dtype == bias.dtype == dtype


def test_the_global_random_state_decides_nothing() -> None:
    features, labels = clusters(3)
    np.random.seed(0)  # noqa: NPY002 - the state that scikit-learn would use by default
    weight, _ = regression.fit(features, labels, 3, c=(0.1, 1.0))
    np.random.seed(1)  # noqa: NPY002
    assert torch.equal(weight, regression.fit(features, labels, 3, c=(0.1, 1.0))[0])


def unequal() -> tuple[torch.Tensor, torch.Tensor]:
    features, labels = clusters(3)
    chosen = torch.cat([(labels == 0).nonzero()[:2, 0], (labels > 0).nonzero()[:, 0]])
    return features[chosen], labels[chosen]


def test_ridge_weighs_unequal_classes_alike_as_scikit_learn_balances_them() -> None:
    features, labels = unequal()
    weight, bias = regression.fit(features, labels, 3, kind="ridge", scale=1.0)
    reference = RidgeClassifier(class_weight="balanced").fit(features.numpy(), labels.numpy())
    np.testing.assert_allclose(weight.numpy(), reference.coef_, atol=1e-5)
    np.testing.assert_allclose(bias.numpy(), reference.intercept_, atol=1e-5)


def test_logistic_regression_keeps_the_frequencies_of_unequal_classes() -> None:
    features, labels = unequal()
    weight, bias = regression.fit(features, labels, 3)
    reference = LogisticRegression(max_iter=1000).fit(features.numpy(), labels.numpy())
    np.testing.assert_allclose(weight.numpy(), reference.coef_, atol=1e-3)
    np.testing.assert_allclose(bias.numpy(), reference.intercept_, atol=1e-3)
