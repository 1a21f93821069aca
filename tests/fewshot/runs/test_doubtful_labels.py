"""What a run says of labels that look wrong. Oracle: labels that the test itself changes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from episodes.datasets.locations import cache_root
from fewshot.runs import doubtful_labels, experiment
from tests.fewshot.checks.clusters_of_features import data_set
from tests.fewshot.model import own_photos


def test_changed_labels_are_found_with_the_classes_of_their_images():
    data = data_set(20)
    labels = data.labels.clone()
    labels[7], labels[33] = 2, 0
    errors = doubtful_labels.likely_errors(data.features, labels, None)
    classes = dict(zip(errors.indices.tolist(), errors.suggested.tolist(), strict=True))
    assert classes == {7: int(data.labels[7]), 33: int(data.labels[33])}


def test_right_labels_are_not_doubted():
    data = data_set(20)
    assert not len(doubtful_labels.likely_errors(data.features, data.labels, None).indices)


def test_too_few_images_say_nothing():
    data = data_set(3)
    assert not len(doubtful_labels.likely_errors(data.features, data.labels, None).indices)


def test_a_run_on_own_images_warns_once_of_a_picture_in_the_wrong_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    photos = own_photos.write(tmp_path / "photos", {"red": 12, "green": 12, "blue": 12})
    (photos / "blue" / "torn.png").write_bytes(b"")
    (photos / "red" / "3.png").rename(photos / "green" / "misplaced.png")
    values = {
        "method": "probe",
        "data": str(photos),
        "full": True,
        "image_size": 48,
        "backbone": {"name": "conv4", "weights": "none", "options": {"width": 8}},
    }
    before = decoded_sets()
    with caplog.at_level(logging.WARNING, logger="fewshot"):
        experiment.run(values, [0, 1], out=tmp_path / "runs")
    (text,) = [one for one in caplog.messages if one.startswith(doubtful_labels.BEGINNING)]
    assert text.startswith("labels that look wrong: 1 of 36, for example that of ")
    assert text.endswith("misplaced.png (green, more likely red); `fewshot check` lists them")
    assert len(decoded_sets() - before) == 1


def decoded_sets() -> set[Path]:
    """Return the files of decoded images in the cache."""
    return set((cache_root() / "images").rglob("images.npy"))
