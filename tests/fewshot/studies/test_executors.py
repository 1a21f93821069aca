"""Oracle: runs made without an executor, and errors raised on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fewshot.errors import NotHere, UserError
from fewshot.runs import experiment
from fewshot.studies import executors
from tests.fewshot.runs.test_trial import pets
from tests.fewshot.studies.rows import QUICK


def test_a_cell_is_the_run_of_its_settings_with_the_logged_curves(tmp_path: Path) -> None:
    outcome = executors.run_cell(QUICK, [0, 1], tmp_path / "cell", "cpu")
    alone = experiment.run(QUICK, [0, 1], out=tmp_path / "alone", device="cpu")
    assert (outcome["status"], outcome["run"]) == ("done", alone.run_id)
    assert outcome["record"]["scores"] == alone.to_json()["scores"]
    log = tmp_path / "alone" / alone.run_id / "trial-1" / "metrics.jsonl"
    losses = [json.loads(line)["train_loss"] for line in log.read_text().splitlines()]
    assert outcome["curves"]["train_loss"][1] == pytest.approx(losses, abs=1e-5)
    assert len(outcome["curves"]["epoch"]) == len(losses) == 2


def test_a_cell_whose_trials_cannot_differ_is_done_with_its_single_trial(tmp_path: Path) -> None:
    settings = {
        "method": "probe",
        "data": str(pets(tmp_path / "pets", "cat", "dog")),
        "full": True,
        "precision": "float32",
        "backbone": {"name": "mini-resnet", "weights": "pretrained"},
    }
    outcome = executors.run_cell(settings, [0, 1, 2], tmp_path / "runs", "cpu", 1)
    assert (outcome["status"], outcome["reason"]) == ("done", None)
    assert outcome["record"]["seeds"] == [0]
    assert outcome["curves"] is None  # a probe logs no epochs


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (NotHere("the weights are not here."), "not run", "the weights are not here."),
        (UserError("no such option."), "failed", "no such option."),
        (ValueError("a\nlong   message"), "failed", "ValueError: a long message"),
    ],
)
def test_an_error_is_an_outcome(
    error: Exception, status: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **keywords: object) -> None:
        raise error

    monkeypatch.setattr(experiment, "run", fail)
    outcome = executors.run_cell(QUICK, [0], tmp_path, None)
    assert (outcome["status"], outcome["reason"]) == (status, reason)
    assert ("trace" in outcome) == isinstance(error, ValueError)


def test_curves_of_trials_that_stopped_early_end_in_null(tmp_path: Path) -> None:
    logs = {0: [(1, 0.5), (2, 0.25), (3, 1 / 3)], 1: [(1, 0.75), (2, float("nan"))]}
    for seed, entries in logs.items():
        folder = tmp_path / f"trial-{seed}"
        folder.mkdir()
        lines = [json.dumps({"epoch": epoch, "train_loss": loss}) for epoch, loss in entries]
        (folder / "metrics.jsonl").write_text("\n".join(lines))
    assert executors._curves(tmp_path, [0, 1]) == {
        "epoch": [1, 2, 3],
        "train_loss": [[0.5, 0.25, 0.33333], [0.75, None, None]],
    }


def test_cells_run_one_by_one_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        executors,
        "run_cell",
        lambda settings, seeds, folder, device: executors.outcome("done", run=settings["name"]),
    )
    started: list[int] = []
    with executors.OneByOne("cpu") as executor:
        handles = [executor.submit({"name": name}, [0], tmp_path) for name in "ab"]
        handle, outcome = executor.wait(list(reversed(handles)), started.append)
    assert (handle, outcome["run"], started) == (handles[0], "a", [handles[0]])
