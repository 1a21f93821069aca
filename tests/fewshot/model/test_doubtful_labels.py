"""The sentence about labels that look wrong. Oracle: labels that the test itself changes."""

from __future__ import annotations

import torch

from fewshot.model import doubtful_labels, heads
from fewshot.model.classifier import Recipe
from fewshot.runs.doubtful_labels import sentence
from tests.fewshot.checks.clusters_of_features import CLASSES, data_set


def note(labels: torch.Tensor) -> str:
    """Return the sentence about images whose right labels are those of the data set."""
    data = data_set(20)
    held_out = heads.out_of_fold(data.features, labels, 4, Recipe("logistic"))
    head = heads.fit_head(data.features, labels, 4, Recipe("logistic"))
    temperature = heads.temperature(head, data.features, labels, held_out)
    errors = doubtful_labels.find(held_out, temperature)
    return sentence(errors, data.names, labels, CLASSES)


def test_a_changed_label_is_named_with_the_class_of_the_image():
    labels = data_set(20).labels.clone()
    labels[7] = 2
    assert note(labels) == (
        "labels that look wrong: 1 of 80, for example that of 7.jpg (owl, more likely cat); "
        "`fewshot check` lists them"
    )


def test_right_labels_need_no_sentence():
    assert note(data_set(20).labels) == ""


def test_the_sentence_can_be_dropped_from_others():
    labels = data_set(20).labels.clone()
    labels[[7, 33]] = 3
    text = note(labels)
    assert text.startswith("labels that look wrong: 2 of 80")
    assert doubtful_labels.without(["another note", text]) == ["another note"]
