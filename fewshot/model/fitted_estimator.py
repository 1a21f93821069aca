"""What an estimator of scikit-learn computes with a fitted classifier of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from fewshot.errors import UserError
from fewshot.model import conformal, inputs, model_output, nearest, onnx_export, reject
from fewshot.model.card import Card
from fewshot.model.classifier import ImageClassifier


class FittedEstimator(
    ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator
):
    """The methods that need a fitted classifier of images.

    Images `X` are in one of the forms of `inputs.images_of`.

    Attributes:
        classes_: the labels, in the order of the classifier's classes.
        classifier_: the classifier.
    """

    classes_: np.ndarray
    classifier_: ImageClassifier

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []  # features are float32 whatever images are
        return tags

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each image, [n]."""
        probabilities = self.predict_log_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return calibrated probabilities, [n, n_classes], in the order of `classes_`."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of the probabilities, [n, n_classes]."""
        features = self._features(X)
        return self.classifier_.log_probabilities(features).double().log_softmax(1).numpy()

    def predict_set(
        self, X: Any, coverage: float = 0.9, *, exact: bool = False
    ) -> list[np.ndarray]:
        """Return for each image the classes that it may belong to, the most probable one first.

        The sets contain the true class of about this share of images like the labelled ones.

        Args:
            X: images, in one of the forms of `inputs.images_of`.
            coverage: the share, in (0, 1).
            exact: whether to fit the head again for each image and class (full conformal
                prediction), in place of scores of labelled images that were held out.

        Raises:
            UserError: there are too few labelled images for this coverage, or exact sets are asked
                of a head that was trained with its network.
        """
        features = self._features(X)
        probabilities = self.classifier_.log_probabilities(features).exp()
        if exact:
            members = conformal.exact_sets(self.classifier_, features, coverage)
        else:
            members = conformal.sets(self.classifier_.fold_scores, probabilities, coverage)
        order = probabilities.argsort(dim=1, descending=True, stable=True)
        return [
            self.classes_[ranked[member[ranked]].numpy()]
            for ranked, member in zip(order, members, strict=True)
        ]

    def known_score(self, X: Any) -> np.ndarray:
        """Return how much each image resembles the nearest class, [n]: a cosine from -1 to 1.

        An image below `threshold_` probably belongs to none of the classes.
        """
        features = self._features(X)
        return reject.known_scores(self.classifier_.rejection, features).numpy()

    @property
    def threshold_(self) -> float:
        """The known score below which an image is refused."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.rejection.threshold

    def transform(self, X: Any) -> np.ndarray:
        """Return the features of the network, float32 [n, d]."""
        return self._features(X).numpy()

    def kneighbors(
        self, X: Any, n_neighbors: int = 5, return_distance: bool = True
    ) -> tuple[np.ndarray, np.ndarray] | np.ndarray:
        """Return the labelled images that are most like each image, nearest first.

        Args:
            X: images, in one of the forms of `inputs.images_of`.
            n_neighbors: how many of them.
            return_distance: whether to return distances, too.

        Returns:
            Distances, 1 - cosine of centred features, and positions among the labelled images, both
            [n, n_neighbors]; or the positions alone. `classifier_.support.names` has their paths.
        """
        features = self._features(X)
        n_labelled = len(self.classifier_.support.labels)
        if not 1 <= n_neighbors <= n_labelled:
            raise UserError(f"expected n_neighbors from 1 to {n_labelled}, not {n_neighbors}.")
        positions, distances = nearest.rank(
            self.classifier_.support.features, features, n_neighbors
        )
        return (distances.numpy(), positions.numpy()) if return_distance else positions.numpy()

    def save(
        self, path: str | Path, *, standalone: bool | None = None, public: bool = False
    ) -> None:
        """Write the fitted classifier to a model file, which `fewshot predict` reads as well.

        Args:
            path: the file, such as "model.fewshot", or "hf:user/name" to write it, its card and an
                ONNX file to a repository of the Hugging Face Hub.
            standalone: whether the network is stored inside the file; None for networks of up to
                50 MB.
            public: whether anybody may read a new repository.
        """
        check_is_fitted(self, "classifier_")
        model_output.save(self.classifier_, Path(path), standalone=standalone, public=public)

    def export_onnx(self, path: str | Path) -> None:
        """Write the fitted classifier as an ONNX file that takes images of any size."""
        check_is_fitted(self, "classifier_")
        onnx_export.export(self.classifier_, Path(path))

    @property
    def card(self) -> Card:
        """How the classifier was made, how good it is, and where its weights are from."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.card

    @property
    def _n_features_out(self) -> int:
        return self.classifier_.backbone.n_features

    def _features(self, X: Any) -> Tensor:
        check_is_fitted(self, "classifier_")
        return self._features_of(inputs.images_of(X))

    def _features_of(self, images: inputs.Images) -> Tensor:
        classifier = self.classifier_
        chunks = inputs.pixel_chunks(images, classifier.decoding)
        features = [classifier.features(pixels) for pixels in chunks]
        return torch.cat([torch.empty(0, classifier.backbone.n_features), *features])
