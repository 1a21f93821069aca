"""Oracles: scikit-learn's checks and tools, a fit to all images at once, and easy images."""

from __future__ import annotations

import copy
import doctest
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.utils import Tags, estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

import fewshot
from fewshot import FeatureClassifier, FewShotClassifier
from fewshot.model import estimator as module
from fewshot.model import file_format, growing
from tests.fewshot import easy

TINY = {"name": "conv4", "options": {"width": 4}}
GOOD = 0.85  # accuracy of random features; chance is 0.25
IMAGES = easy.images(8, 0)
X = IMAGES.images.numpy().transpose(0, 2, 3, 1)  # [n, h, w, 3]
Y = np.array(["green", "blue", "red", "yellow"])[IMAGES.labels]
TEST = easy.images(5, 1).images.numpy()  # [n, 3, h, w]
TEST_Y = np.repeat(np.unique(Y)[[1, 0, 2, 3]], 5)


def tiny(**settings: object) -> FewShotClassifier:
    return FewShotClassifier("probe", backbone=TINY, **settings)


class Rows(FewShotClassifier):
    """The estimator on 2-D rows, each of which it arranges as an image, for scikit-learn's checks.

    The checks make 2-D data alone, so without this they would stop after the first.
    """

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = True, False
        return tags

    def fit(self, X, y):
        X, y = validate_data(self, X, y, dtype=float)
        return super().fit(self._images(X), y)

    def partial_fit(self, X, y, classes=None):
        if not hasattr(self, "classifier_"):
            return self.fit(X, y)
        X, y = validate_data(self, X, y, dtype=float, reset=False)
        return super().partial_fit(self._images(X), y)

    def _features(self, X):
        check_is_fitted(self, "classifier_")
        return super()._features(self._images(validate_data(self, X, dtype=float, reset=False)))

    @staticmethod
    def _images(rows: np.ndarray) -> np.ndarray:
        grey = np.tanh(rows / 3) * 127 + 128
        repeats = -(-64 // rows.shape[1])
        return np.tile(grey, (1, repeats))[:, :64].reshape(-1, 8, 8).astype(np.uint8)


WITHOUT_DATA = [
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
]
ONE_CLASS = "a single class is a UserError, as everywhere in this package, and not a ValueError"
EXPECTED = {"check_classifiers_one_label": ONE_CLASS, "check_fit2d_1sample": ONE_CLASS}


@pytest.mark.slow
@parametrize_with_checks(
    [Rows("probe", backbone=TINY)], expected_failed_checks=lambda estimator: EXPECTED
)
def test_the_checks_of_scikit_learn_pass_on_rows_that_are_arranged_as_images(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", WITHOUT_DATA)
def test_the_checks_that_need_no_data_pass(name: str):
    getattr(estimator_checks, name)("FewShotClassifier", FewShotClassifier())


def test_it_declares_that_it_takes_no_rows():
    tags = FewShotClassifier().__sklearn_tags__()
    assert not tags.input_tags.two_d_array
    assert tags.estimator_type == "classifier"
    with pytest.raises(fewshot.UserError, match="FeatureClassifier"):
        tiny().fit(np.zeros((4, 5)), [0, 0, 1, 1])


def test_easy_images_are_classified_in_every_form_alike(tmp_path: Path):
    for number, (image, label) in enumerate(zip(X, Y, strict=True)):
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / label / f"{number:02}.png")
    paths = sorted(tmp_path.glob("*/*.png"))
    names = [path.parent.name for path in paths]
    from_folder = tiny().fit(tmp_path)
    expected = from_folder.predict_proba(TEST)
    assert from_folder.score(TEST, TEST_Y) >= GOOD
    right = [label == name for label, name in zip(from_folder.predict(paths), names, strict=True)]
    assert from_folder.score(tmp_path) == pytest.approx(sum(right) / len(right))
    assert sum(right) / len(right) >= GOOD
    forms = [paths, [path.read_bytes() for path in paths], [Image.open(path) for path in paths]]
    forms += [np.stack([np.asarray(Image.open(path)) for path in paths])]
    for form in forms:
        classifier = tiny().fit(form, names)
        assert classifier.predict_proba(TEST) == pytest.approx(expected, abs=1e-6)
        assert classifier.classes_.tolist() == ["blue", "green", "red", "yellow"]
    assert tiny().fit(paths, names).classifier_.support.names == tuple(map(str, paths))


def test_more_images_and_new_classes_give_the_classifier_of_all_images():
    first = (Y != "red") & (np.arange(len(Y)) % 8 < 4)
    order = np.r_[np.flatnonzero(first), np.flatnonzero(~first)]
    grown = tiny().partial_fit(X[first], Y[first]).partial_fit(X[~first], Y[~first])
    whole = tiny().fit(X[order], Y[order])
    assert (grown.predict_log_proba(TEST) == whole.predict_log_proba(TEST)).all()
    assert grown.classes_.tolist() == whole.classes_.tolist()
    assert grown.threshold_ == whole.threshold_
    assert grown.card.class_counts == whole.card.class_counts
    assert grown.classifier_.support.names == whole.classifier_.support.names


def test_more_images_are_held_out_with_the_images_that_they_copy():
    grown = tiny().fit(X[::2], Y[::2]).partial_fit(X[1:8:2], Y[1:8:2]).partial_fit(X[:8], Y[:8])
    clusters = grown.classifier_.support.clusters
    assert clusters is not None
    n = len(X[::2])
    of_first = [*range(4), *range(n, n + 4)]  # the even images of the first eight, and the odd ones
    assert clusters[-8:].tolist() == [of_first[i // 2 + i % 2 * 4] for i in range(8)]


def test_labels_keep_their_type_also_in_a_file(tmp_path: Path):
    classifier = tiny(seed=2, reject=0.1).fit(X, IMAGES.labels.numpy() * 10)
    classifier.save(tmp_path / "model.fewshot")
    loaded = FewShotClassifier.load(tmp_path / "model.fewshot", device="cpu")
    for one in (classifier, loaded):
        assert one.predict(TEST[:1]).tolist() == [0]
        assert one.classes_.tolist() == [0, 10, 20, 30]
    assert loaded.predict_proba(TEST) == pytest.approx(classifier.predict_proba(TEST), abs=1e-6)
    assert (loaded.method, loaded.seed, loaded.reject) == ("probe", 2, 0.1)
    assert clone(loaded).fit(X, Y).score(TEST, TEST_Y) >= GOOD
    assert loaded.partial_fit(X[:1], [40]).classes_.tolist() == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("added", ["cat", "01"])
def test_a_class_that_is_no_integer_can_be_added_to_integers(added: str, tmp_path: Path):
    old = tiny().fit(X[:16], IMAGES.labels[:16].numpy()).classifier_
    new, labels = old.features(IMAGES.images[16:24]), torch.full((8,), 2)
    file_format.save(
        growing.add(old, new, labels, ["new"] * 8, ("0", "1", added)), tmp_path / "grown"
    )
    loaded = FewShotClassifier.load(tmp_path / "grown", device="cpu")
    assert loaded.classes_.tolist() == ["0", "1", added]
    assert loaded.score(X[:24], np.repeat(["0", "1", added], 8)) >= GOOD


def test_it_works_in_the_tools_of_scikit_learn():
    paths_like = [Image.fromarray(image) for image in X]  # lists are split as arrays are
    probabilities = cross_val_predict(tiny(), paths_like, Y, cv=2, method="predict_proba")
    assert (np.unique(Y)[probabilities.argmax(1)] == Y).mean() >= GOOD
    search = GridSearchCV(tiny(), {"prior": ["balanced", "training"]}, cv=2).fit(X, Y)
    assert search.best_score_ >= GOOD
    pipeline = make_pipeline(tiny(), FeatureClassifier("nearest-mean")).fit(X, Y)
    assert pipeline.score(TEST, TEST_Y) >= GOOD
    assert make_pipeline(tiny(), LogisticRegression(C=100)).fit(X, Y).score(TEST, TEST_Y) >= GOOD
    calibrated = CalibratedClassifierCV(tiny(), cv=2).fit(X, Y)
    assert calibrated.score(TEST, TEST_Y) >= GOOD


def test_copies_and_pickles_give_the_same_probabilities():
    classifier = tiny().fit(X, Y)
    expected = classifier.predict_proba(TEST)
    for other in (copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))):
        assert (other.predict_proba(TEST) == expected).all()


def test_settings_are_checked_when_it_is_fitted():
    with pytest.raises(fewshot.UserError, match="method"):
        FewShotClassifier("proob").fit(X, Y)
    with pytest.raises(fewshot.UserError, match="reject"):
        tiny(reject=2).fit(X, Y)
    with pytest.raises(fewshot.UserError, match="prior names the class 'zebra'"):
        tiny(prior={"zebra": 2.0}).fit(X, Y)
    with pytest.raises(fewshot.UserError, match="X is empty"):
        tiny().fit([], [])
    with pytest.raises(fewshot.UserError, match="does not know: 0, 1, 2, 3, 4 and 5 more"):
        tiny().fit(X, Y).score("digits")
    with pytest.raises(fewshot.UserError, match="y is missing"):
        tiny().fit(X)
    for images in (X, list(X)):
        with pytest.raises(fewshot.UserError, match="y is missing"):
            tiny().fit(X, Y).score(images)
    with pytest.raises(NotFittedError):
        tiny().predict(X)
    with pytest.raises(NotFittedError):
        tiny().card  # noqa: B018


@pytest.mark.slow
def test_its_example_runs():
    assert doctest.testmod(module).failed == 0
