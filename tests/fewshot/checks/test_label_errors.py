"""Likely label errors. Oracle: the labels that the test itself changes."""

from __future__ import annotations

import pytest
import torch

from fewshot.checks import label_errors
from tests.fewshot.checks.clusters_of_features import CLASSES, data_set


def test_changed_labels_are_errors_and_their_classes_are_suggested():
    data = data_set(30)
    labels = data.labels.clone()
    changed = {5: 2, 40: 0, 100: 1}
    for index, label in changed.items():
        labels[index] = label
    findings = label_errors.find(data._replace(labels=labels))
    assert {one.places[0].position for one in findings} == set(changed)
    for one in findings:
        index = one.places[0].position
        assert index is not None
        assert one.advice == CLASSES[data.labels[index]]
        assert one.places[0].name == f"{index}.jpg"
        expected = f"{index}.jpg is labelled {CLASSES[changed[index]]} and looks more like"
        assert one.words.startswith(expected)
        assert 0.5 < one.score <= 1


@pytest.mark.parametrize("seed", range(3))
def test_right_labels_are_no_errors(seed: int):
    assert label_errors.find(data_set(20, seed)) == []


@pytest.mark.parametrize("seed", range(3))
def test_hard_classes_are_not_taken_for_errors(seed: int):
    data = data_set(60, seed, spread=2.0)
    assert len(label_errors.find(data)) <= 2


def test_a_copy_of_an_image_does_not_vouch_for_its_wrong_label():
    data = data_set(20)
    index = torch.tensor([*range(80), 3, 3])
    copied = data._replace(
        names=tuple(f"{number}.jpg" for number in range(82)),
        labels=data.labels[index],
        thumbnails=data.thumbnails[index],
        features=data.features[index],
        sizes=data.sizes[index],
    )
    copied.labels[[3, 80, 81]] = 1
    positions = {one.places[0].position for one in label_errors.find(copied)}
    assert positions == {3, 80, 81}


def test_classes_with_one_image_or_none_are_left_out():
    data = data_set(20)
    labels = data.labels.clone()
    labels[labels == 3] = 2
    labels[0] = 3
    assert {one.places[0].position for one in label_errors.find(data._replace(labels=labels))} <= {
        *range(40, 80)
    }


def test_nothing_is_found_without_features_or_with_next_to_no_images():
    data = data_set(20)
    assert label_errors.find(data._replace(features=torch.empty(80, 0))) == []
    assert label_errors.find(data_set(2)) == []


def test_large_sets_are_checked_in_parts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(label_errors, "PART", 100)
    monkeypatch.setattr(label_errors, "LOGISTIC_UP_TO", 60)
    data = data_set(60)
    labels = data.labels.clone()
    labels[[7, 130]] = torch.tensor([3, 0])
    errors = label_errors.likely_errors(data.features, labels, None)
    assert {7, 130} <= set(errors.indices.tolist())
    assert len(errors.indices) <= 4
    assert errors.scores.tolist() == sorted(errors.scores.tolist(), reverse=True)
