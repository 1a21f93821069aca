"""Oracle: scikit-learn's own estimators, used directly, and its cross-validation by hand."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold

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


def test_cross_validation_chooses_the_regularisation_that_scikit_learn_chooses() -> None:
    features, labels = clusters(3, per_class=8, n_features=40)
    noisy = features + 4 * torch.randn(24, 40, generator=torch.Generator().manual_seed(0))
    grid = (1e-4, 1e-2, 1.0, 100.0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    estimator = LogisticRegression(max_iter=1000)
    search = GridSearchCV(estimator, {"C": list(grid)}, cv=folds)
    search.fit(noisy.double().numpy(), labels.numpy())
    weight, _ = regression.fit(noisy, labels, 3, c=grid)
    expected, _ = regression.fit(noisy, labels, 3, c=search.best_params_["C"])
    assert torch.equal(weight, expected)
    scores = search.cv_results_["mean_test_score"]
    assert max(scores) > min(scores)  # otherwise the choice would prove nothing


def test_with_one_image_per_class_the_middle_value_is_used() -> None:
    features, labels = clusters(3, per_class=1)
    weight, _ = regression.fit(features, labels, 3, c=(0.01, 0.1, 10.0))
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
