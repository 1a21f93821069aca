"""The files that a dry run leaves, and the record and times of the run that it describes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fewshot.runs import dry_run, experiment
from tests.fewshot.cli.command import RUN, fewshot
from tests.fewshot.runs.quick_runs import quick
from tests.fewshot.runs.test_trial import pets


def test_a_dry_run_says_what_runs_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "runs"
    command = f"{RUN} --method probe --backbone conv4 --seeds 3 --out {out}"
    assert fewshot(f"{command} --dry-run", monkeypatch) == 0
    printed = capsys.readouterr().out
    for words in ("probe", "conv4", "digits, 10 classes", "40 labelled images (4 per class)"):
        assert words in printed
    assert "500 test images" in printed
    assert not out.exists()
    assert fewshot(f"{command} --dry-run --json", monkeypatch) == 0
    forecast = json.loads(capsys.readouterr().out)
    assert forecast["trials"] == 3
    assert fewshot(f"{command} --quiet", monkeypatch) == 0
    assert [path.name for path in out.iterdir()] == [forecast["run_id"]]


@pytest.mark.parametrize("method", ["probe", "scratch"])
def test_the_estimate_has_the_order_of_the_real_time(method: str, tmp_path: Path) -> None:
    values = quick(method, calibration="none")
    forecast = dry_run.forecast(values, [0, 1], out=tmp_path)
    assert forecast.steps == (0 if method == "probe" else 12)
    started = time.perf_counter()
    record = experiment.run(values, [0, 1], out=tmp_path)
    elapsed = time.perf_counter() - started
    assert record.run_id == forecast.run_id
    assert (forecast.labels, forecast.n_test) == (record.labels, record.n_test)
    assert forecast.seconds < 5 * elapsed + 2
    again = dry_run.forecast(values, [0, 1, 2], out=tmp_path)
    assert (again.trials, again.finished) == (3, 2)
    assert 0 < again.seconds < elapsed + 1


def test_steps_count_the_trainings_on_folds_and_to_calibrate(tmp_path: Path) -> None:
    on_folds = quick("scratch", select="support_cv")
    assert dry_run.forecast(on_folds, [0], out=tmp_path).steps == 12 * (1 + 4)  # four shots
    calibrated = quick("scratch")
    assert dry_run.forecast(calibrated, [0], out=tmp_path).steps == 2 * 12


def test_a_run_without_labels_has_an_estimate(tmp_path: Path) -> None:
    values = {
        "method": "probe",
        "data": str(pets(tmp_path / "pets", "cat", "dog", "lamp")),
        "shots": 0,
        "precision": "float32",
        "learner": {"prior_from_names": True},
    }
    forecast = dry_run.forecast(values, [0], out=tmp_path / "runs")
    assert (forecast.labels, forecast.steps) == (0, 0)
    assert forecast.seconds > 0
