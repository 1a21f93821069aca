"""The classifiers of `probe` for rows of features, as an estimator of scikit-learn."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fewshot import config
from fewshot.config.schema import NaturalNumber, Positive, Prior, Settings
from fewshot.heads import affine
from fewshot.heads.affine import AffineHead
from fewshot.model import heads
from fewshot.model.classifier import Recipe


class FeatureSettings(Settings):
    """The settings of `FeatureClassifier`."""

    classifier: affine.Kind = "logistic"
    c: Positive = 1.0
    centre: bool = True
    normalise: bool = True
    scale: Positive = 10.0
    prior: Prior = "balanced"
    seed: NaturalNumber = 0

    def recipe(self) -> Recipe:
        """Return how the head is fitted."""
        return Recipe(
            self.classifier,
            self.c,
            self.scale,
            self.centre,
            self.normalise,
            self.prior,
            self.seed,
        )


class FeatureClassifier(ClassifierMixin, BaseEstimator):
    """A calibrated classifier of features, in the style of scikit-learn.

    It is the head that `FewShotClassifier` puts on the features of its network: logistic or ridge
    regression, or the nearest class mean, on features that are centred and scaled to unit length.
    By default it does not expect a class to be frequent because it has many labels. Where classes
    overlap, the nearest mean by squared distance and ridge regression still prefer classes with
    many labels; "logistic" and "cosine" do so less. One temperature, chosen by cross-validation on
    the labelled rows, makes its probabilities agree with its accuracy.

    Args:
        classifier: "logistic", "ridge", "nearest-mean" or "cosine".
        c: inverse strength of the regularisation of logistic and ridge regression.
        centre: whether the mean of the labelled rows is subtracted.
        normalise: whether rows, after centring, are scaled to unit length.
        scale: factor of the logits of all classifiers but the logistic regression.
        prior: how frequent the classes are expected to be: "balanced", "training" (as frequent as
            the labels), or a weight for each class by its name.
        seed: seed of the folds.

    Attributes:
        classes_: the labels, sorted.
        centre_: what is subtracted from rows, [d]; zeros without centring.
        coef_: weights, [n_classes, d].
        intercept_: biases, with the prior, [n_classes].
        temperature_: what divides the logits.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> features, species = load_iris(return_X_y=True)
        >>> FeatureClassifier().fit(features, species).predict(features[:2]).tolist()
        [0, 0]
    """

    def __init__(
        self,
        classifier: str = "logistic",
        *,
        c: float = 1.0,
        centre: bool = True,
        normalise: bool = True,
        scale: float = 10.0,
        prior: Prior = "balanced",
        seed: int = 0,
    ) -> None:
        self.classifier = classifier
        self.c = c
        self.centre = centre
        self.normalise = normalise
        self.scale = scale
        self.prior = prior
        self.seed = seed

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the classifier.

        Args:
            X: rows of features, [n, d].
            y: their labels, [n], strings or integers.

        Raises:
            ValueError: the rows or labels are not valid, or there is a single class.
            UserError: a setting is not valid.
        """
        settings = config.check(FeatureSettings, self.get_params(), "FeatureClassifier")
        rows, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_, positions = np.unique(labels, return_inverse=True)
        n_way = len(self.classes_)
        if n_way < 2:
            raise ValueError(
                f"expected rows of at least two classes, but y has one class: {labels[0]}"
            )
        features, targets = torch.from_numpy(rows.copy()), torch.from_numpy(positions)
        names = [str(name) for name in self.classes_]
        recipe = settings.recipe()
        head = heads.fit_head(features, targets, n_way, recipe, names)
        held_out = heads.out_of_fold(features, targets, n_way, recipe, names)
        self.temperature_ = heads.temperature(
            head, features, targets, held_out, recipe.prior, names
        )
        self.centre_ = np.zeros(rows.shape[1]) if head.centre is None else head.centre.numpy()
        self.coef_, self.intercept_ = head.weight.numpy(), head.bias.numpy()
        self.unit_length_ = head.normalise
        return self

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Return calibrated log probabilities [n, n_classes] of rows of features [n, d]."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        head = AffineHead(
            torch.from_numpy(self.coef_),
            torch.from_numpy(self.intercept_),
            torch.from_numpy(self.centre_),
            self.unit_length_,
        )
        logits = head(torch.from_numpy(rows.copy())) / self.temperature_
        return logits.log_softmax(1).numpy()

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return calibrated probabilities [n, n_classes] of rows of features [n, d]."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the most probable label of each row of features [n, d]."""
        positions = self.predict_log_proba(X).argmax(1)
        return self.classes_[positions]
