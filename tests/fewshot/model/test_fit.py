"""Oracle: a run of the same method on the same images, and labels that a fit cannot know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from episodes import datasets, subsets
from episodes.datasets.decoding import image_cache
from episodes.types import ImageSet
from fewshot.config import BackboneSettings
from fewshot.config.fitting import FitConfig
from fewshot.errors import UserError
from fewshot.model.fit import fit, fit_data
from fewshot.runs import experiment
from tests.fewshot.model import own_photos

SMALL = BackboneSettings(name="mini-resnet", weights="pretrained")
PROBE = FitConfig(method="probe", backbone=SMALL)


def digits(*counts: int) -> ImageSet:
    """Return the first digits of each class, as many as its count."""
    whole = datasets.load("digits").train
    rows = [(whole.labels == way).nonzero()[:n, 0] for way, n in enumerate(counts)]
    at = torch.cat(rows)
    return replace(
        whole,
        name="some digits",
        images=whole.images[at],
        labels=whole.labels[at],
        classes=whole.classes[: len(counts)],
        fingerprint="",
        groups={},
        clusters=None,
    )


def test_a_single_class_and_a_class_without_images_are_refused() -> None:
    with pytest.raises(UserError, match="some digits has a single class, '0'"):
        fit(digits(3), PROBE)
    with pytest.raises(UserError, match="class '1' of some digits has no image"):
        fit(digits(3, 0, 2), PROBE)


def test_one_image_a_class_gives_the_default_without_estimates() -> None:
    classifier = fit(digits(1, 1, 1), FitConfig(backbone=SMALL))
    assert classifier.card.quality.accuracy is None
    assert len(classifier.fold_scores) == 0
    assert "nothing was compared" in classifier.card.choice
    assert "default, logistic regression (c = 1) on mini-resnet" in classifier.card.choice
    predicted = classifier.log_probabilities(classifier.support.features).argmax(1)
    assert predicted.tolist() == [0, 1, 2]


@pytest.mark.parametrize("counts", [(4, 4), (1, 6, 3)])
def test_two_classes_and_unequal_counts_are_fitted(counts: tuple[int, ...]) -> None:
    classifier = fit(digits(*counts), PROBE)
    assert classifier.card.quality.n_images == sum(n for n in counts if n > 1)
    assert list(classifier.card.class_counts.values()) == list(counts)
    new = datasets.load("digits").test
    known = new.labels < len(counts)
    features = classifier.features(new.images[known])
    right = classifier.log_probabilities(features).argmax(1) == new.labels[known]
    assert right.float().mean() > 0.8


def test_images_have_their_names_beside_one_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_photos.write(tmp_path, {"red": 3, "green": 2})
    (tmp_path / "green" / "0.png").write_bytes(b"")
    (tmp_path / "red" / "1.png").write_bytes(b"<html>not here</html>")
    decoded = []
    write_part = image_cache.write_part
    monkeypatch.setattr(
        image_cache, "write_part", lambda *rest: decoded.append(rest) or write_part(*rest)
    )
    settings = FitConfig(method="probe", backbone=own_photos.NETWORK, image_fit="pad")
    classifier = fit_data(str(tmp_path), settings, "cpu")
    assert classifier.support.names == ("green/1.png", "red/0.png", "red/2.png")
    assert classifier.support.labels.tolist() == [0, 1, 1]
    assert len(decoded) == 1


def test_a_probe_has_the_accuracy_of_a_run_on_the_same_images(tmp_path: Path) -> None:
    values = {
        "method": "probe",
        "data": "digits",
        "shots": 4,
        "backbone": {"name": "mini-resnet", "weights": "pretrained"},
        "precision": "float32",
    }
    record = experiment.run(values, [0], out=tmp_path, device="cpu")
    whole = datasets.load("digits")
    at = subsets.shots(whole.train.labels, whole.train.classes, 4, seed=0)
    images = replace(
        whole.train, images=whole.train.images[at], labels=whole.train.labels[at], fingerprint=""
    )
    classifier = fit(images, PROBE, device="cpu")
    log_probabilities = classifier.log_probabilities(classifier.features(whole.test.images))
    right = log_probabilities.argmax(1) == whole.test.labels
    assert float(right.double().mean()) == pytest.approx(record.scores["accuracy"].mean)
    # The temperature, too: the run's is chosen on the same folds.
    assert record.temperature is not None
    assert classifier.temperature == pytest.approx(record.temperature.mean, rel=1e-3)
