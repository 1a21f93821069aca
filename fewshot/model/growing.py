"""More labelled images, or new classes, for a classifier that is fitted."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from fewshot.model.classifier import ImageClassifier


def add(
    classifier: ImageClassifier,
    features: Tensor,
    labels: Tensor,
    names: Sequence[str],
    classes: Sequence[str],
) -> ImageClassifier:
    """Return the classifier as if it had been fitted to its labelled images and to new ones.

    The head, the temperature, the rejection and the fold scores are computed again from the
    features of all labelled images.

    Args:
        classifier: the classifier, which stays as it is.
        features: of the new images, float [n, d], from `classifier.features`.
        labels: of the new images, int64 [n], positions in `classes`.
        names: paths or numbers of the new images.
        classes: names of all classes in their new order, with those of the classifier.

    Raises:
        UserError: the head was trained together with the network, so that it cannot be fitted
            again; or a class of the classifier is missing in `classes`.
    """
    raise NotImplementedError
