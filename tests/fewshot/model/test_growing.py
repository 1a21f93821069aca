"""Oracles: scikit-learn's logistic regression on all features, and a fit to all images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from episodes.types import ImageSet
from fewshot.config import BackboneSettings
from fewshot.config.fitting import FitConfig
from fewshot.errors import UserError
from fewshot.model import fit as fitting
from fewshot.model import growing
from fewshot.model.classifier import ImageClassifier
from tests.fewshot import easy

SETTINGS = FitConfig(
    method="probe", backbone=BackboneSettings(name="mini-resnet", weights="pretrained"), seed=3
)
IMAGES = easy.images(4, 0)


def some(mask: torch.Tensor, classes: tuple[str, ...], settings: FitConfig) -> ImageClassifier:
    """Fit a classifier to some of the images, which belong to these classes."""
    labels = torch.tensor([classes.index("abcd"[i]) for i in IMAGES.labels[mask].tolist()])
    return fitting.fit(ImageSet("", IMAGES.images[mask], labels, classes, "", {}), settings)


@pytest.mark.parametrize("prior", ["balanced", "training"])
def test_more_images_and_a_new_class_give_the_classifier_of_all_images(prior: str):
    settings = SETTINGS.model_copy(update={"prior": prior})
    first = (IMAGES.labels != 1) & (torch.arange(16) % 4 < 2)
    order = torch.cat([first.nonzero()[:, 0], (~first).nonzero()[:, 0]])
    old = some(first, ("a", "c", "d"), settings)
    new = IMAGES.images[~first]
    grown = growing.add(
        old, old.features(new), IMAGES.labels[~first], [f"{i}" for i in range(10)], tuple("abcd")
    )
    whole = fitting.fit(
        ImageSet("", IMAGES.images[order], IMAGES.labels[order], tuple("abcd"), "", {}), settings
    )
    for ours, theirs in zip(grown.head[:3], whole.head[:3], strict=True):
        assert torch.equal(ours, theirs)
    assert grown.temperature == whole.temperature
    assert torch.equal(grown.fold_scores, whole.fold_scores)
    assert torch.equal(grown.rejection.means, whole.rejection.means)
    assert grown.rejection.threshold == whole.rejection.threshold
    assert grown.card.class_counts == whole.card.class_counts == dict.fromkeys("abcd", 4)
    assert grown.card.quality.accuracy == whole.card.quality.accuracy
    assert grown.card.forecast == whole.card.forecast != ()
    assert grown.card.notes == whole.card.notes
    assert old.classes == ("a", "c", "d")


@pytest.mark.parametrize(("added", "are_integers"), [("7", True), ("cat", False), ("01", False)])
def test_classes_stay_integers_only_if_the_new_one_is_an_integer(added: str, are_integers: bool):
    first = IMAGES.labels < 2
    old = some(first, tuple("ab"), SETTINGS)
    old = replace(old, classes=("0", "1"))
    old = replace(old, card=replace(old.card, integer_classes=True))
    features, labels = old.features(IMAGES.images[IMAGES.labels == 2]), torch.full((4,), 2)
    grown = growing.add(old, features, labels, "wxyz", ("0", "1", added))
    assert grown.card.integer_classes == are_integers


def test_the_head_is_that_of_scikit_learn_refitted_to_all_features():
    half = torch.arange(16) % 2 == 0
    old = some(half, tuple("abcd"), SETTINGS)
    features = old.features(IMAGES.images[~half])
    grown = growing.add(old, features, IMAGES.labels[~half], ["new"] * 8, tuple("abcd"))
    rows, labels = grown.support.features.double().numpy(), grown.support.labels.numpy()
    oracle = make_pipeline(
        StandardScaler(with_std=False), Normalizer(), LogisticRegression(max_iter=1000)
    ).fit(rows, labels)
    difference = grown.head(grown.support.features).numpy() - oracle.decision_function(rows)
    assert np.abs(difference - difference.mean(1, keepdims=True)).max() < 1e-3
    assert grown.support.names[-1] == "new"


def test_a_trained_head_and_a_missing_class_are_refused():
    old = some(torch.arange(16) % 2 == 0, tuple("abcd"), SETTINGS)
    features, labels = old.support.features[:1], torch.tensor([0])
    with pytest.raises(UserError, match="must remain"):
        growing.add(old, features, labels, ["x"], ("a", "b", "c"))
    trained = replace(old, recipe=old.recipe._replace(kind="trained"))
    with pytest.raises(UserError, match="trained together with its network"):
        growing.add(trained, features, labels, ["x"], old.classes)


def partition(clusters: torch.Tensor | None) -> list[int]:
    """Return the clusters, numbered in the order of their first images."""
    assert clusters is not None
    seen: dict[int, int] = {}
    return [seen.setdefault(number, len(seen)) for number in clusters.tolist()]


def test_new_images_are_held_out_with_their_copies_and_others_alone():
    is_old = torch.arange(16) % 2 == 0
    old = some(is_old, tuple("abcd"), SETTINGS)
    clusters = torch.tensor([0, 0, 1, 2, 3, 4, 5, 6])
    old = replace(old, support=old.support._replace(clusters=clusters))
    new = old.features(IMAGES.images[~is_old][:4])
    features = torch.cat([1.001 * old.support.features[[1, 4]], new[:3], 1.001 * new[2:]])
    labels = torch.tensor([0, 2, 0, 0, 1, 1, 1])
    grown = growing.add(old, features, labels, "tuvwxyz", old.classes)
    assert partition(grown.support.clusters) == [0, 0, 1, 2, 3, 4, 5, 6, 0, 3, 7, 8, 9, 9, 10]
    known = torch.tensor([7, 8, 5, 6, 4, 3, 5])  # the third and the last are one picture
    grown = growing.add(old, features, labels, "tuvwxyz", old.classes, known)
    assert partition(grown.support.clusters) == [0, 0, 1, 2, 3, 4, 5, 6, 0, 3, 7, 8, 9, 9, 7]


def test_without_copies_there_are_no_clusters():
    is_old = torch.arange(16) % 2 == 0
    old = some(is_old, tuple("abcd"), SETTINGS)
    new = old.features(IMAGES.images[~is_old])
    grown = growing.add(old, new, IMAGES.labels[~is_old], ["new"] * 8, tuple("abcd"))
    assert old.support.clusters is grown.support.clusters is None


def test_a_note_that_nothing_is_refused_goes_when_something_is():
    one_each = torch.arange(16) % 4 == 0
    old = some(one_each, tuple("abcd"), SETTINGS)
    assert any("no image is refused" in note for note in old.card.notes)
    old = replace(old, card=replace(old.card, notes=("of the data", *old.card.notes)))
    features, labels = old.features(IMAGES.images[~one_each]), IMAGES.labels[~one_each]
    grown = growing.add(old, features, labels, ["new"] * 12, tuple("abcd"))
    assert grown.card.notes == ("of the data",)
