"""Oracles: scores of four predictions by hand, Wilson's formula, and scikit-learn's folds."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import NearestCentroid

from fewshot.heads.affine import AffineHead
from fewshot.model import closed_form
from fewshot.model.classifier import LabelledFeatures, Recipe
from fewshot.model.heads import OutOfFold
from fewshot.model.reject import Rejection

HEAD = AffineHead(torch.eye(3), torch.zeros(3))
REJECTION = Rejection(torch.zeros(3), torch.eye(3), 0.0, 0.05)


def test_scores_and_quality_are_those_of_held_out_images() -> None:
    shares = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]])
    held_out = OutOfFold(2 * shares.log(), torch.tensor([0, 1, 1, 2]), torch.arange(4), n_folds=2)
    fitted = closed_form.measured(HEAD, 2.0, held_out, REJECTION, ["a", "b", "c"], 1.5)
    assert fitted.fold_scores.tolist() == pytest.approx([0.5, 0.8, 0.4, 0.4])
    quality = fitted.quality
    assert (quality.accuracy, quality.n_images, quality.n_folds) == (0.75, 4, 2)
    assert quality.confused == ("b", "c", 1)
    z2 = 1.959964**2
    middle = (0.75 + z2 / 8) / (1 + z2 / 4)
    half = math.sqrt(z2) * math.sqrt(0.75 * 0.25 / 4 + z2 / 64) / (1 + z2 / 4)
    assert (quality.low, quality.high) == pytest.approx((middle - half, middle + half), abs=1e-4)


def test_nothing_is_measured_without_held_out_images() -> None:
    empty = OutOfFold(torch.empty(0, 3), torch.empty(0, dtype=torch.int64), torch.empty(0), 0)
    quality = closed_form.measured(HEAD, 1.0, empty, REJECTION, ["a", "b", "c"], 0.0).quality
    assert (quality.accuracy, quality.low, quality.confused, quality.n_images) == (None,) * 3 + (0,)


def test_the_accuracy_is_near_that_of_scikit_learn_on_other_folds() -> None:
    labels = torch.arange(4).repeat(30)
    noise = torch.randn(120, 8, generator=torch.Generator().manual_seed(0))
    support = LabelledFeatures(noise + 1.5 * torch.eye(4, 8)[labels], labels, ())
    recipe = Recipe("nearest-mean", centre=False, normalise=False)
    fitted = closed_form.fit(support, list("abcd"), recipe, 0.05, torch.zeros(8))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    scores = cross_val_score(NearestCentroid(), support.features.numpy(), labels.numpy(), cv=folds)
    assert fitted.quality.accuracy == pytest.approx(scores.mean(), abs=0.04)
    assert len(fitted.fold_scores) == 120
