"""Val tasks against scikit-learn's nearest centroids, one task at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid

from episodes import subsets
from episodes.tasks import sampling
from fewshot.errors import UserError
from fewshot.learners.base import Needs
from fewshot.runs import meta_validation
from tests.fewshot.runs.colours import colours, training


def test_the_accuracy_is_that_of_nearest_centroids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meta_validation, "TASKS", 60)
    val = colours("val", 8, per_class=30)
    learner = training("protonet", tmp_path, (val,), val).build_learner(0).eval()
    result = meta_validation.validation(learner, val, "cpu")(learner)
    used = subsets.shots(val.labels, val.classes, 30, 0)
    tasks = sampling.fixed(val.labels[used], ways=5, shots=5, queries=15, count=60, seed=0)
    with torch.no_grad():
        features = learner.backbone(val.images[used].float() / 255).numpy()
    right = []
    for number in range(60):
        centroids = NearestCentroid().fit(
            features[tasks.support[number]], tasks.support_labels[number]
        )
        predicted = centroids.predict(features[tasks.query[number]])
        right.append((predicted == tasks.query_labels[number].numpy()).mean())
    assert result["accuracy"] == pytest.approx(np.mean(right), abs=1e-4)


def test_a_learner_of_images_gets_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same learner, on the same tasks, by both ways."""
    val = colours("val", 6, per_class=20)
    learner = training("protonet", tmp_path, (val,), val).build_learner(0).eval()
    monkeypatch.setattr(meta_validation, "TASKS", meta_validation.IMAGE_TASKS)
    on_features = meta_validation.validation(learner, val, "cpu")(learner)
    learner.needs = Needs(images=True)
    on_images = meta_validation.validation(learner, val, "cpu")(learner)
    assert on_images == pytest.approx(on_features, abs=1e-4)


@pytest.mark.parametrize(("n_classes", "per_class"), [(4, 30), (6, 19)])
def test_too_few_val_classes_or_images(tmp_path: Path, n_classes: int, per_class: int) -> None:
    val = colours("val", n_classes, per_class)
    learner = training("protonet", tmp_path, (val,), val).build_learner(0)
    with pytest.raises(UserError, match=rf"need 5 classes of 20 images; there are {n_classes}"):
        meta_validation.validation(learner, val, "cpu")
