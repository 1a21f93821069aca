"""A classifier of images in the style of scikit-learn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from episodes.datasets.source import few
from episodes.types import ImageSet
from fewshot import backbones, config, progress
from fewshot.config import BackboneSettings, Prior
from fewshot.config.fitting import FitConfig
from fewshot.errors import UserError
from fewshot.model import file_format, growing, hub, image_listing, inputs
from fewshot.model import fit as fitting
from fewshot.model.classifier import ImageClassifier
from fewshot.model.fitted_estimator import FittedEstimator
from fewshot.model.labelled_files import LabelledFiles
from fewshot.model.labels import Labels, as_classes, labels_of

SETTINGS = ("method", "image_fit", "prior", "reject", "seconds", "seed", "least_gain")
NO_LABELS = "y is missing: give a label for each image, or a folder of classes."


class FewShotClassifier(FittedEstimator):
    """A calibrated classifier of images from few labels, in the style of scikit-learn.

    Images `X` are the path of a folder, a list, or an array. The items of a list are paths, bytes
    of image files, images of Pillow, or arrays. An array is [n, height, width, channels],
    [n, channels, height, width] or grey [n, height, width]; see "Arrays of images" in
    docs/python.md. Labels `y` are strings or integers. Without `y`, the folders of `X` are the
    classes, and `X` may be whatever `fewshot run --data` takes.

    Args:
        method: "probe", "protonet", "finetune", "scratch", or "auto", which compares them.
        backbone: name of the network that turns images into features, or all its settings; None
            for the default for the size of the images.
        weights: weights of a network that is given by its name: "pretrained", "none" or a file.
        image_fit: how an image that is not square becomes square: "crop", "squeeze" or "pad".
        prior: how frequent the classes are expected to be: "balanced", "training" (as frequent as
            the labels), or a weight for each class by its name.
        reject: share of images of the known classes that `threshold_` may refuse.
        seconds: time in which "auto" compares methods.
        seed: seed of folds and training.
        least_gain: share by which the log-loss of a slower method must be lower for "auto" to
            choose it.
        device: "cpu", "cuda" and so on; None for a GPU if there is one.
        quiet: show no progress.

    Attributes:
        classes_: the labels, sorted.
        classifier_: the fitted `ImageClassifier`.

    Example:
        >>> import fewshot
        >>> from sklearn.datasets import load_digits
        >>> digits = load_digits()
        >>> images, labels = digits.images / 16, digits.target
        >>> classifier = fewshot.FewShotClassifier("probe").fit(images[:100], labels[:100])
        >>> classifier.predict(images[100:103]).tolist()
        [4, 0, 5]
    """

    def __init__(
        self,
        method: str = "auto",
        *,
        backbone: str | Mapping[str, Any] | BackboneSettings | None = None,
        weights: str = "pretrained",
        image_fit: str = "crop",
        prior: Prior = "balanced",
        reject: float = 0.05,
        seconds: float = 60.0,
        seed: int = 0,
        least_gain: float = 0.01,
        device: str | None = None,
        quiet: bool = True,
    ) -> None:
        self.method = method
        self.backbone = backbone
        self.weights = weights
        self.image_fit = image_fit
        self.prior = prior
        self.reject = reject
        self.seconds = seconds
        self.seed = seed
        self.least_gain = least_gain
        self.device = device
        self.quiet = quiet

    def fit(self, X: Any, y: ArrayLike | None = None) -> Self:
        """Fit the classifier to labelled images.

        Args:
            X: images, see the class.
            y: their labels, [n]; None if the folders of `X` are the classes.

        Raises:
            UserError: images, labels or settings are not valid.
        """
        settings = self._settings()
        with progress.on_stderr(self.quiet):
            if isinstance(X, str | os.PathLike) and y is None:
                return self._adopt(fitting.fit_data(os.fspath(X), settings, self.device))
            if y is None:
                raise UserError(NO_LABELS)
            images = inputs.images_of(X)
            if not len(images):
                raise UserError("X is empty: a classifier needs images of at least two classes.")
            labels = labels_of(y, len(images))
            side = inputs.natural_side(images) or None
            classifier = fitting.fit(
                _image_set(images, labels, settings, side),
                settings,
                names=images.names,
                device=self.device,
                side=side,
            )
        return self._adopt(classifier, labels)

    def partial_fit(self, X: Any, y: ArrayLike) -> Self:
        """Add labelled images, also of new classes; the first call fits the classifier.

        The result is that of fitting to all images at once, with the method, network and settings
        of the first call, with one exception: new images are held out together with their copies
        (images with nearly the same features), whereas `fit` does not search lists and arrays for
        copies. A network is not trained again, so a classifier whose head was trained with its
        network refuses more images.

        Args:
            X: images, see the class.
            y: their labels, [n].

        Raises:
            UserError: images or labels are not valid, or the network was trained.
        """
        if not hasattr(self, "classifier_"):
            return self.fit(X, y)
        images = inputs.images_of(X)
        labels = labels_of(y, len(images), known=self.classes_)
        n_labelled = len(self.classifier_.support.labels)
        names = [
            str(n_labelled + i) if name.isdigit() else name for i, name in enumerate(images.names)
        ]
        features = self._features_of(images)
        return self._adopt(
            growing.add(self.classifier_, features, labels.positions, names, labels.names), labels
        )

    def score(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the accuracy on labelled images.

        Args:
            X: images, see the class.
            y: their labels, [n]; None if the folders of `X` are the classes. If such a data set has
                a test part, this is the accuracy on the test part.
            sample_weight: weight of each image, [n].

        Raises:
            UserError: images cannot be read, labels are missing, or classes are unknown.
        """
        if y is not None:
            return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))
        if not isinstance(X, str | os.PathLike):
            raise UserError(NO_LABELS)
        check_is_fitted(self, "classifier_")
        files = LabelledFiles(os.fspath(X), test=True)
        label_of = files.labels_among(self.classifier_.classes)
        pairs = zip(files.classes, label_of, strict=True)
        if unknown := [name for name, label in pairs if label is None]:
            raise UserError(
                f"{os.fspath(X)} has classes that the classifier does not know: {few(unknown)}."
            )
        labels, predicted = [], []
        for chunk in files.chunks(self.classifier_.decoding):
            features = self.classifier_.features(chunk.pixels)
            predicted.append(self.classifier_.log_probabilities(features).argmax(1))
            labels.append(chunk.labels)
        if files.left_out:
            left_out = image_listing.summary(files.left_out)
            raise UserError(f"{os.fspath(X)}: {left_out}; repair or remove them.")
        true = torch.tensor(label_of)[torch.cat(labels)]
        return float(accuracy_score(true, torch.cat(predicted), sample_weight=sample_weight))

    @classmethod
    def load(cls, path: str | Path, device: str | None = None) -> Self:
        """Read a model file.

        Args:
            path: a file of `save` or of `fewshot fit`, or hf:user/name for the one in a repository
                of the hub.
            device: "cpu", "cuda" and so on; None for a GPU if there is one.
        """
        classifier = file_format.load(hub.local_file(path), device)
        recipe = classifier.recipe
        estimator = cls(
            classifier.card.method,
            backbone=classifier.settings,
            image_fit=classifier.decoding.fit,
            prior=recipe.prior,
            reject=classifier.rejection.share,
            seed=recipe.seed,
            device=device,
        )
        return estimator._adopt(classifier)

    def _settings(self) -> FitConfig:
        values = {name: getattr(self, name) for name in SETTINGS}
        if isinstance(self.backbone, str):
            values["backbone"] = {"name": self.backbone, "weights": self.weights}
        elif self.backbone is not None:
            values["backbone"] = self.backbone
        return config.check(FitConfig, values, "FewShotClassifier")

    def _adopt(self, classifier: ImageClassifier, labels: Labels | None = None) -> Self:
        """Take over a fitted classifier, with the labels that its classes stand for."""
        if labels is None:
            self.classes_ = as_classes(classifier.classes, classifier.card.integer_classes)
        else:
            self.classes_ = labels.classes
            card = replace(classifier.card, integer_classes=labels.are_integers)
            classifier = replace(classifier, card=card)
        self.classifier_ = classifier
        return self


def _image_set(
    images: inputs.Images, labels: Labels, settings: FitConfig, side: int | None
) -> ImageSet:
    """Return decoded images with labels, at the size that the network needs."""
    network = settings.backbone or backbones.default(side or 0)
    decoding, fingerprint = inputs.decoding_of(
        images, labels.positions, backbones.input_side(network), settings.image_fit
    )
    pixels = torch.cat(list(inputs.pixel_chunks(images, decoding)))
    return ImageSet(
        "images", pixels, labels.positions, labels.names, fingerprint, {}, decoding=decoding
    )
