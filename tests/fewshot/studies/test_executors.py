"""Oracle: runs made without an executor, and errors raised on purpose."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fewshot.errors import NotHere, UserError
from fewshot.runs import experiment
from fewshot.studies import executors
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


def closed_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "reason"),
    [("127.0.0.1:{}", "Connection refused"), ("127.0.0.1:99999", ""), ("[::1]:{}", "")],
)
def test_a_cluster_that_does_not_answer_is_named_at_once(address: str, reason: str) -> None:
    pytest.importorskip("ray")
    address = address.format(closed_port())
    with pytest.raises(UserError, match="could not be joined") as error:
        executors.InRay(1, address, "cpu").__enter__()
    assert address in str(error.value)
    assert reason in str(error.value)


@pytest.mark.slow
def test_ray_on_one_machine_listens_there_alone() -> None:
    pytest.importorskip("ray")
    code = (
        "from fewshot.studies.executors import InRay\n"
        "with InRay(1, None, 'cpu') as pool:\n"
        "    print(pool.ray.get_runtime_context().gcs_address)"
    )
    environment = {key: text for key, text in os.environ.items() if not key.startswith("RAY_")}
    command = [sys.executable, "-c", code]
    address = subprocess.check_output(command, env=environment, text=True, timeout=300)
    assert address.startswith("127.0.0.1:")
