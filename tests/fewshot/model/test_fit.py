"""Oracle: a run of the same method on the same images, and scikit-learn's cross-validation."""

from __future__ import annotations

import pytest
import torch

from episodes import datasets
from episodes.types import ImageSet
from fewshot.config.fitting import FitConfig
from fewshot.errors import UserError
from fewshot.model.fit import fit


def digits(per_class: int, n_way: int = 10) -> ImageSet:
    """Return the first digits of each class."""
    whole = datasets.load("digits").train
    rows = torch.cat([(whole.labels == way).nonzero()[:per_class, 0] for way in range(n_way)])
    classes = whole.classes[:n_way]
    return ImageSet("some digits", whole.images[rows], whole.labels[rows], classes, "", {})


def test_a_single_class_is_refused() -> None:
    with pytest.raises(UserError, match="single class"):
        fit(digits(3, n_way=1), FitConfig())


def test_one_image_a_class_gives_a_classifier_without_estimates() -> None:
    classifier = fit(digits(1, n_way=3), FitConfig())
    assert classifier.card.quality.accuracy is None
    assert len(classifier.fold_scores) == 0
    predicted = classifier.log_probabilities(classifier.support.features).argmax(1)
    assert predicted.tolist() == [0, 1, 2]
