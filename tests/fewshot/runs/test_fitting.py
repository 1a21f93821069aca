"""The training of a trial. Oracles: scripted validation losses, whitening, and records by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from episodes import datasets
from episodes.errors import UserError
from fewshot import backbones, config, progress
from fewshot.errors import Diverged
from fewshot.evaluation import low_data, metrics
from fewshot.runs import experiment
from tests.fewshot.runs.quick_runs import QUICK, quick


@pytest.mark.parametrize(("start", "steps"), [(9.0, 6), (1.0, 0)])
def test_the_step_is_chosen_on_folds_of_the_support(
    start: float, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean curve is lowest at the second of four log points, or before the first step."""
    seen: list[set[int]] = []
    curves = [
        [5.0, 1.0, 2.0, 3.0],
        [4.0, 2.0, 1.5, 6.0],
        [3.0, 2.0, 3.5, 3.0],
        [3.0, 2.0, 3.5, 3.0],
    ]
    scripted = iter([loss for curve in curves for loss in (start, *curve)])

    def noting(classifier, queries) -> low_data.Predictions:
        queries = list(queries)
        images = torch.cat([batch.images for batch in queries])
        seen.append({hash(image.numpy().tobytes()) for image in images})
        return classify(classifier, queries)

    classify = low_data.classify
    monkeypatch.setattr(low_data, "classify", noting)
    monkeypatch.setattr(
        metrics,
        "loss_at_best_temperature",
        lambda logits, labels, weights: {"loss": next(scripted), "accuracy": 0.5},
    )
    train = {"steps": 12, "batch_size": 16, "log_every_epochs": 1.6}
    values = quick("scratch", shots=4, select="support_cv", train=train, augment=[])
    record = experiment.run(values, [0], out=tmp_path)
    trial = tmp_path / record.run_id / "trial-0"
    assert json.loads((trial / "trial.json").read_text())["steps"] == steps
    assert record.cost.train_seconds > 0  # the folds' too
    # Four folds of four shots; each is classified once more at the end, for the calibration.
    folds = [seen[i] for i in (0, 6, 12, 18)]
    assert [len(fold) for fold in folds] == [10] * 4
    assert len(set.union(*folds)) == 40  # every labelled image validates once
    assert not list(trial.glob("fold-*"))


def test_folds_expect_the_frequencies_that_a_head_has_learned_only_after_its_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prototypes do not depend on how many images a class has, as a trained head does."""
    logits = []

    def noting(of_images: torch.Tensor, *more) -> dict[str, float]:
        logits.append(of_images)
        return measured(of_images, *more)

    measured = metrics.loss_at_best_temperature
    monkeypatch.setattr(metrics, "loss_at_best_temperature", noting)
    learner = {"head": "cosine", "start": "prototypes", "probe_share": 0.0}
    train = {"steps": 1, "batch_size": 16, "lr": 1e-12}
    values = quick("finetune", select="support_cv", learner=learner, train=train, augment=[])
    experiment.run({**values, "class_shots": {"3": 20}}, [0], out=tmp_path)
    untrained, trained = logits[:2]
    (shift,) = (trained - untrained).unique(dim=0).round(decimals=3).unique(dim=0)
    assert shift[3] - shift[0] == pytest.approx(-np.log(15 / 3), abs=1e-2)  # three of four folds
    assert shift[1] == shift[0]


def test_a_random_backbone_is_initialised_from_training_images(tmp_path: Path) -> None:
    """The filters of speed-cnn whiten the support set and stay as they are."""
    backbone = {"name": "speed-cnn", "options": {"widths": [4, 4, 4]}}
    record = experiment.run(quick("scratch", backbone=backbone, shots=5), [0], out=tmp_path)
    trial = tmp_path / record.run_id / "trial-0"
    saved = json.loads((trial / "indices.json").read_text())["support"]
    known = load_file(trial / "model.safetensors")["backbone.body.stages.0.0.weight"]
    fresh = backbones.build(config.BackboneSettings(**backbone))
    before = fresh.body.stages[0][0].weight.clone()
    fresh.initialise(datasets.load("digits").train.images[saved].float() / 255)
    expected = fresh.body.stages[0][0].weight

    def inverse_covariance(weight: torch.Tensor) -> torch.Tensor:
        # Grey images have no variance in some directions, in which the filters are arbitrary.
        return weight.flatten(1).T @ weight.flatten(1)

    ours, theirs, random = map(inverse_covariance, (known, expected, before))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-2)
    assert not torch.allclose(ours, random, rtol=0.1)


def test_a_training_with_a_damaged_checkpoint_begins_as_if_there_were_none(tmp_path: Path) -> None:
    """The head starts as class means again: from a random one, so few steps reach no accuracy."""
    train = {"steps": 2, "batch_size": 16, "lr": 1e-5}
    values = quick("finetune", train=train, learner={"start": "prototypes"})
    expected = experiment.run(values, [0], out=tmp_path / "undisturbed")
    trial = tmp_path / "disturbed" / expected.run_id / "trial-0"
    trial.mkdir(parents=True)
    (trial / "checkpoint.pt").write_bytes(b"half a fi")
    record = experiment.run(values, [0], out=tmp_path / "disturbed")
    assert record.scores == expected.scores


def test_meta_training_on_a_base_set(tmp_path: Path) -> None:
    """Only the images of the base set are trained on; the record has its name, not its path."""
    folder = tmp_path / "shapes"
    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for number in range(12):
            (folder / part / f"class-{number}").mkdir(parents=True)
            for i in range(3):
                image = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(image).save(folder / part / f"class-{number}" / f"{i}.png")
    base = {**QUICK["train"], "base": str(folder)}
    plain = experiment.run(quick("protonet", shots=1), [0], out=tmp_path)
    record = experiment.run(quick("protonet", shots=1, train=base), [0], out=tmp_path)
    assert record.run_id != plain.run_id
    assert record.scores != plain.scores  # with one shot of its own it could not have trained
    assert not [warning for warning in record.warnings if "stay as they were" in warning]
    assert "meta-trained on 36 labelled images of shapes" in record.data_notes
    assert record.config["train"]["base"] == "shapes"
    assert record.labels == 10
    pairs = experiment.run(quick("siamese", shots=1, train=base), [0], out=tmp_path)
    assert pairs.scores != experiment.run(quick("siamese", shots=1), [0], out=tmp_path).scores
    with pytest.raises(
        UserError,
        match=r"train.base is for learners that adapt to new classes, and 'finetune' is not one",
    ):
        experiment.run(quick("finetune", train=base), [0], out=tmp_path)


@pytest.mark.parametrize(
    ("method", "train", "warned"),
    [
        ("scratch", {}, False),
        ("scratch", {"phases": [{"trainable": "head"}]}, True),
        ("finetune", {}, True),
    ],
)
def test_batch_norm_that_is_held_on_random_weights_is_a_warning(
    method: str, train: dict, warned: bool, tmp_path: Path
) -> None:
    record = experiment.run(
        quick(method, train={**QUICK["train"], "steps": 1, **train}), [0], out=tmp_path
    )
    assert any("held at its initial statistics" in warning for warning in record.warnings) == warned


def test_a_diverging_run_fails_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="lower train"):
        experiment.run(
            quick("scratch", train={"steps": 50, "lr": 1e20, "optimizer": {"name": "sgd"}}),
            [0],
            out=tmp_path,
        )
    assert not list(tmp_path.glob("*/record.json"))


def test_a_long_training_reports_the_time_that_is_left(tmp_path: Path, monkeypatch) -> None:
    """Let the clock advance half a minute at every reading, for twelve steps."""
    seconds = iter(range(0, 10**6, 30))
    monkeypatch.setattr("fewshot.runs.fitting.time.perf_counter", lambda: next(seconds))
    lines: list[str] = []
    values = quick("scratch", train={"steps": 12, "batch_size": 16})
    with progress.shown_by(lines.append):
        experiment.run({**values, "calibration": "none"}, [0], out=tmp_path)
    steps = [text for text in lines if text.startswith("step ")]
    assert len(steps) >= 12
    assert "left" not in steps[0]
    assert all(re.search(r", [1-9]\d* (s|min) left$", text) for text in steps[1:-2])
    assert "left" not in steps[-1]
    assert "loss" in steps[-1]


def test_trainings_on_folds_report_their_steps_and_the_time_left(
    tmp_path: Path, monkeypatch
) -> None:
    seconds = iter(range(0, 10**6, 30))
    monkeypatch.setattr("fewshot.runs.fitting.time.perf_counter", lambda: next(seconds))
    lines: list[str] = []
    with progress.shown_by(lines.append):
        values = quick("scratch", select="support_cv_ends", train={"steps": 6, "batch_size": 16})
        experiment.run(values, [0, 1], out=tmp_path)
    for fold in range(1, 5):  # of four shots
        pattern = rf"trial 1/2: fold {fold}/4( \(.* left in this trial\))?: step \d/6"
        assert sum(re.match(pattern, text) is not None for text in lines) >= 6
    assert all("left in this trial" in text for text in lines if ": fold 2/4" in text)
