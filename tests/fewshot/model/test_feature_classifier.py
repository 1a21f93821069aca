"""Oracles: scikit-learn's checks of estimators, and its logistic regression on prepared rows."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fewshot.errors import UserError
from fewshot.model import feature_classifier
from fewshot.model.feature_classifier import FeatureClassifier

ROWS, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]


@parametrize_with_checks([FeatureClassifier()])
def test_every_check_of_scikit_learn_passes(estimator: FeatureClassifier, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([FeatureClassifier(kind) for kind in ("ridge", "nearest-mean", "cosine")])
def test_every_check_passes_for_the_other_kinds(estimator: FeatureClassifier, check):
    check(estimator)


def test_it_is_logistic_regression_on_centred_rows_of_unit_length():
    oracle = make_pipeline(
        StandardScaler(with_std=False), Normalizer(), LogisticRegression(max_iter=1000)
    ).fit(ROWS, NAMES)
    classifier = FeatureClassifier().fit(ROWS, NAMES)
    assert (classifier.predict(ROWS) == oracle.predict(ROWS)).all()
    uncalibrated = classifier.predict_log_proba(ROWS) * classifier.temperature_
    expected = oracle.decision_function(ROWS)
    difference = uncalibrated - expected
    # Equal up to one number for each row, which no probability depends on.
    assert np.abs(difference - difference.mean(1, keepdims=True)).max() < 1e-3


def test_the_nearest_mean_is_that_of_scikit_learn():
    classifier = FeatureClassifier("nearest-mean", centre=False, normalise=False)
    oracle = NearestCentroid().fit(ROWS, NAMES)
    assert (classifier.fit(ROWS, NAMES).predict(ROWS) == oracle.predict(ROWS)).all()


def test_unequal_counts_do_not_bias_it_unless_the_prior_says_so():
    few = np.r_[0:4, 50:100]
    balanced = FeatureClassifier().fit(ROWS[few], NAMES[few])
    frequent = clone(balanced).set_params(prior="training").fit(ROWS[few], NAMES[few])
    ratio = balanced.intercept_ - frequent.intercept_
    assert ratio[0] - ratio[1] == pytest.approx(np.log(50 / 4))


def test_it_works_in_the_tools_of_scikit_learn():
    pipeline = make_pipeline(StandardScaler(), FeatureClassifier())
    search = GridSearchCV(pipeline, {"featureclassifier__c": [0.1, 10.0]}, cv=3)
    assert search.fit(ROWS, NAMES).best_score_ > 0.8
    calibrated = CalibratedClassifierCV(FeatureClassifier(), cv=3).fit(ROWS, NAMES)
    assert calibrated.predict_proba(ROWS).sum(1) == pytest.approx(np.ones(len(ROWS)))
    probabilities = cross_val_predict(
        FeatureClassifier("ridge"), ROWS, NAMES, cv=3, method="predict_proba"
    )
    assert probabilities.shape == (150, 3)


@pytest.mark.parametrize(
    ("setting", "words"), [({"classifier": "logistik"}, "logistic"), ({"c": -1}, "greater than 0")]
)
def test_a_wrong_setting_is_one_sentence(setting: dict[str, object], words: str):
    with pytest.raises(UserError, match=words):
        FeatureClassifier(**setting).fit(ROWS, NAMES)


def test_its_example_runs():
    assert doctest.testmod(feature_classifier).failed == 0
