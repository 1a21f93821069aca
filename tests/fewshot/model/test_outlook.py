"""Oracle: accuracies of scikit-learn on subsets of the same sizes, and sentences by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import NearestCentroid

from fewshot.model import outlook
from fewshot.model.card import Quality
from fewshot.model.classifier import LabelledFeatures, Recipe

RECIPE = Recipe("nearest-mean", centre=False, normalise=False)


def support(per_class: int, n_way: int = 5, d: int = 40) -> LabelledFeatures:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(n_way).repeat(per_class)
    features = torch.randn(len(labels), d, generator=random) + 3 * torch.eye(n_way, d)[labels]
    return LabelledFeatures(features, labels, tuple(map(str, range(len(labels)))))


def test_the_curve_has_the_accuracies_of_scikit_learn_at_the_same_numbers_of_labels() -> None:
    known = support(40)
    curve = outlook.measured_curve(known, list("abcde"), RECIPE)
    assert curve.counts.tolist() == [9.0, 18.0, 27.0, 36.0]
    x, y = known.features.numpy(), known.labels.numpy()
    for count, mean in zip(curve.counts, curve.means, strict=True):
        splits = StratifiedShuffleSplit(40, train_size=int(5 * count), test_size=20, random_state=0)
        scores = [
            NearestCentroid().fit(x[inside], y[inside]).score(x[outside], y[outside])
            for inside, outside in splits.split(x, y)
        ]
        assert abs(np.mean(scores) - mean) < 0.06
    assert (np.linalg.eigvalsh(curve.noise) > 0).all()


def test_smaller_subsets_are_part_of_larger_ones_and_have_every_class() -> None:
    labels = support(8).labels
    parts = [set(outlook.nested(labels, 5, share, 0).tolist()) for share in outlook.SHARES]
    assert all(small <= large for small, large in pairwise(parts))
    assert all(len(labels[list(part)].unique()) == 5 for part in parts)


def test_the_forecast_rises_and_names_the_numbers_of_labels() -> None:
    (text,) = outlook.forecast(support(16), list("abcde"), RECIPE)
    assert "with 16 labels a class" in text
    assert "; 64 labels a class" in text
    shares = [int(word.rstrip("%")) for word in text.split() if word.endswith("%")]
    assert shares == sorted(shares)


def test_three_labels_a_class_are_too_few_for_a_forecast() -> None:
    assert outlook.forecast(support(3), list("abcde"), RECIPE) == ()


def test_certainty_is_stated_in_points() -> None:
    wide = Quality(0.7, 0.55, 0.83, 0.1, 40, 10, None, 1.0)
    (text,) = outlook.certainty(wide)
    assert text == (
        "From 40 labelled images the accuracy is known to within about 14 points; about 320 would "
        "narrow that to 5."
    )
    (text,) = outlook.certainty(Quality(0.9, 0.88, 0.92, 0.1, 900, 10, None, 1.0))
    assert text == "From 900 labelled images the accuracy is known to within about 2 points."
    (text,) = outlook.certainty(Quality(None, None, None, None, 0, 0, None, 0.0))
    assert "label at least two of each" in text


def test_few_images_without_a_mistake_are_no_proof() -> None:
    labels = torch.arange(3).repeat(8)
    easy = LabelledFeatures(20 * torch.eye(3)[labels], labels, tuple(map(str, range(24))))
    curve = outlook.measured_curve(easy, list("abc"), RECIPE)
    assert curve is not None
    assert (curve.means == 1).all()
    # Agresti and Coull: 26 of 28 images, by hand
    share = 26 / 28
    assert np.allclose(np.diag(curve.noise), share * (1 - share) / 27, atol=2e-6)
    (text,) = outlook.forecast(easy, list("abc"), RECIPE)
    assert "(100 to 100%)" not in text


def test_a_forecast_that_says_nothing_is_not_made() -> None:
    labels = torch.arange(2).repeat(4)
    easy = LabelledFeatures(20 * torch.eye(2)[labels], labels, tuple(map(str, range(8))))
    assert outlook.forecast(easy, list("ab"), RECIPE) == (
        "That is too few to forecast what more labels would bring.",
    )
