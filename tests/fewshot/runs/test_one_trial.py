"""Runs without chance have one trial. Oracle: a second trial, run all the same, is identical."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from episodes import datasets
from fewshot.report import comparison
from fewshot.runs import experiment, one_trial, trial
from fewshot.runs.resolve import resolve_run
from fewshot.runs.run_record import ONE_TRIAL
from tests.fewshot.runs.test_trial import pets

ON_DIGITS = {
    "method": "probe",
    "data": "digits",
    "exclude_classes": list("23456789"),
    "precision": "float32",
    "backbone": {"name": "mini-resnet", "weights": "pretrained"},
    "learner": {"classifier": "nearest-mean"},
}
FULL = {**ON_DIGITS, "full": True}
RANDOM_WEIGHTS = {"name": "conv4", "options": {"width": 4}, "weights": "none"}


def logits(folder: Path) -> np.ndarray:
    with np.load(folder / "predictions.npz") as arrays:
        return arrays["test_logits"]


def test_all_labels_and_nothing_random_are_one_trial(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = experiment.run(FULL, range(10), out=tmp_path, device="cpu")
    assert record.seeds == [0]
    assert record.scores["accuracy"].values == [record.scores["accuracy"].mean]
    assert record.scores["accuracy"].std is None
    n_test = int((datasets.load("digits").test.labels < 2).sum())
    assert sum(map(sum, record.confusion)) == record.n_test == n_test
    assert record.warnings[0] == ONE_TRIAL
    assert caplog.record_tuples == [("fewshot", logging.WARNING, f"{ONE_TRIAL} instead of 10.")]
    table = comparison.markdown([record])
    assert ONE_TRIAL in table
    assert "fewer than five trials" not in table
    assert "±" not in table.splitlines()[4]

    run = resolve_run(FULL, tmp_path, "cpu")
    trial.run_trial(run, 7)  # as an earlier version did
    np.testing.assert_array_equal(logits(run.trial_folder(7)), logits(run.trial_folder(0)))
    for seeds in ([3], range(10)):  # from the record, with and without a note of the request
        assert experiment.run(FULL, seeds, out=tmp_path, device="cpu").seeds == [0]
    assert not run.trial_folder(3).exists()
    monkeypatch.setattr("fewshot.runs.execution.execute", None)
    assert experiment.run(FULL, range(10), out=tmp_path, device="cpu") == record


@pytest.mark.parametrize(
    "changes",
    [
        {"full": True, "backbone": RANDOM_WEIGHTS},
        {"shots": 20},
        {"fraction": 0.9},
    ],
    ids=["random weights", "shots", "fraction"],
)
def test_random_weights_or_subsets_are_different_trials(tmp_path: Path, changes: dict) -> None:
    record = experiment.run({**ON_DIGITS, **changes}, [0, 1], out=tmp_path, device="cpu")
    assert record.seeds == [0, 1]
    folder = tmp_path / record.run_id
    assert (logits(folder / "trial-0") != logits(folder / "trial-1")).any()
    assert ONE_TRIAL not in record.warnings


def test_a_training_is_random_even_on_all_labels(tmp_path: Path) -> None:
    trained = {"method": "scratch", "train": {"steps": 1}, "backbone": {"name": "conv4"}}
    run = resolve_run({**trained, "data": "digits", "full": True}, tmp_path, "cpu")
    assert not one_trial.trials_cannot_differ(run)


def test_a_copied_folder_of_a_trial_is_no_trial(tmp_path: Path) -> None:
    for name in ("trial-10", "trial-2", "trial-2-old", "trial-", "2", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trial.json").touch()
    first, second = one_trial.finished_trials(tmp_path)
    assert (first.parent.name, second.parent.name) == ("trial-2", "trial-10")
    assert one_trial.finished_trials(tmp_path, only_one=True) == [first]


def test_a_run_with_a_copied_trial_goes_on(tmp_path: Path) -> None:
    values = {**ON_DIGITS, "shots": 1, "backbone": RANDOM_WEIGHTS}
    first = experiment.run(values, [0], out=tmp_path, device="cpu")
    folder = tmp_path / first.run_id
    shutil.copytree(folder / "trial-0", folder / "trial-0-old")
    assert experiment.run(values, [0], out=tmp_path, device="cpu") == first
    assert experiment.run(values, [0, 1], out=tmp_path, device="cpu").seeds == [0, 1]


def test_without_labels_no_trial_can_differ(tmp_path: Path) -> None:
    values = {
        "method": "probe",
        "data": str(pets(tmp_path / "pets", "cat", "dog", "lamp")),
        "shots": 0,
        "precision": "float32",
        "backbone": {"weights": "pretrained"},
        "learner": {"prior_from_names": True},
    }
    record = experiment.run(values, range(10), out=tmp_path)
    assert record.seeds == [0]
    assert record.has_one_trial
    assert record.warnings[0].startswith("no image is labelled")
