"""Oracles: scikit-learn's nearest neighbours, and the functions that the methods call."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import fewshot
from fewshot import FewShotClassifier
from fewshot.model import conformal, reject
from tests.fewshot import easy

IMAGES = easy.images(8, 0)
X, Y = IMAGES.images.numpy(), np.array(list("abcd"))[IMAGES.labels]
TEST = easy.images(3, 1).images.numpy()


@pytest.fixture(scope="module")
def classifier() -> FewShotClassifier:
    network = {"name": "conv4", "options": {"width": 4}}
    return FewShotClassifier("probe", backbone=network).fit(X, Y)


def test_probabilities_add_up_and_their_largest_is_predicted(classifier: FewShotClassifier):
    probabilities = classifier.predict_proba(TEST)
    assert probabilities.sum(1) == pytest.approx(np.ones(12), abs=1e-12)
    assert np.log(probabilities) == pytest.approx(classifier.predict_log_proba(TEST))
    assert (classifier.predict(TEST) == np.array(list("abcd"))[probabilities.argmax(1)]).all()


def test_no_image_has_no_prediction(classifier: FewShotClassifier):
    assert classifier.predict([]).shape == (0,)
    assert classifier.predict_proba([]).shape == (0, 4)
    assert classifier.predict_set([]) == []


def test_one_image_is_predicted_as_in_a_crowd(classifier: FewShotClassifier):
    alone = np.concatenate([classifier.transform(TEST[i : i + 1]) for i in range(12)])
    assert (alone == classifier.transform(TEST)).all()
    assert alone.dtype == np.float32
    assert len(classifier.get_feature_names_out()) == alone.shape[1]


def test_neighbours_are_those_of_scikit_learn(classifier: FewShotClassifier):
    support = classifier.transform(X).astype(float)
    centre = support.mean(0)
    oracle = NearestNeighbors(metric="cosine").fit(support - centre)
    expected = oracle.kneighbors(classifier.transform(TEST).astype(float) - centre, 3)
    distances, positions = classifier.kneighbors(TEST, 3)
    assert distances == pytest.approx(expected[0], abs=1e-6)
    assert (positions == expected[1]).all()
    assert (classifier.kneighbors(TEST, 3, return_distance=False) == positions).all()
    with pytest.raises(fewshot.UserError, match="from 1 to 32"):
        classifier.kneighbors(TEST, 33)


def test_sets_are_those_of_the_fold_scores_the_most_probable_class_first(
    classifier: FewShotClassifier,
):
    sets = classifier.predict_set(TEST, 0.9)
    probabilities = classifier.predict_proba(TEST)
    inner = classifier.classifier_
    level = np.sort(inner.fold_scores.numpy())[int(np.ceil(0.9 * 33)) - 1]
    for labels, own in zip(sets, probabilities, strict=True):
        assert set(labels) == set(np.array(list("abcd"))[1 - own <= level + 1e-6])
        assert (np.diff([own["abcd".index(label)] for label in labels]) <= 0).all()
    exact = conformal.exact_sets(inner, inner.features(easy.images(3, 1).images), 0.9)
    for labels, members in zip(classifier.predict_set(TEST, 0.9, exact=True), exact, strict=True):
        assert set(labels) == {"abcd"[i] for i in members.nonzero()[:, 0]}
    with pytest.raises(fewshot.UserError, match="99"):
        classifier.predict_set(TEST, 0.99)


def test_known_scores_are_those_of_the_rejection(classifier: FewShotClassifier):
    scores = classifier.known_score(TEST)
    inner = classifier.classifier_
    expected = reject.known_scores(inner.rejection, inner.features(easy.images(3, 1).images))
    assert (scores == expected.numpy()).all()
    assert classifier.threshold_ == inner.rejection.threshold
