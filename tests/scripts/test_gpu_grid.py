"""The grid on a GPU; oracles: results written by the test, and a sweep of the same cells."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fewshot.studies import executors, grids, schema, sweep
from fewshot.studies.results import ResultStore
from fewshot.studies.schema import Row
from scripts import gpu_grid
from scripts.gpu_grid import Grid, Job
from tests.fewshot.runs import handmade

ROW = """
title: A toy
question: Does the grid run?
source: this test
base:
  method: scratch
  preset: cnn
  data: digits
  shots: 4
  backbone: {options: {pools: each}}
  train: {steps: STEPS, batch_size: 8, early_stopping: null}
grid:
  - train.lr: [0.01, 0.001]
    backbone.options.dropout: [0, 0.5]
trials: 2
reported:
  - {at: {train.lr: 0.001, backbone.options.dropout: 0}, accuracy: 0.7}
seconds: 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "toys" / "T1.yaml"
    path.parent.mkdir()
    path.write_text(ROW.replace("STEPS", "3"))
    return path


@pytest.fixture
def row(file: Path) -> Row:
    (row,) = schema.read([file])
    return row


@pytest.fixture
def grid(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    """Return the grid of the row, whose cells are finished without a training."""

    def finish(settings: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        record = handmade.assembled(handmade.trial(0, 1 - settings["train"]["lr"]))
        return executors.outcome("done", record=record.to_json())

    monkeypatch.setattr(executors, "run_cell", finish)
    return Grid(row, ResultStore("full", tmp_path / "runs", tmp_path / "results"), "cpu")


def test_cells_like_the_reported_ones_come_first(row: Row) -> None:
    order = [tuple(cell.values.values()) for cell in gpu_grid.ordered_cells(row, "full")]
    assert order == [(0.001, 0), (0.01, 0), (0.001, 0.5), (0.01, 0.5)]


def test_the_grid_of_the_campaign_begins_with_the_numbers_of_the_report() -> None:
    (row,) = schema.read([gpu_grid.ROW])
    cells = gpu_grid.ordered_cells(row, "full")
    assert len(cells) == 72
    assert [bool(cell.reported) for cell in cells[:5]] == [True] * 4 + [False]


def test_a_cell_is_written_after_its_last_trial(grid: Grid) -> None:
    jobs = list(grid.jobs())
    assert [job.seed for job in jobs[:4]] == [0, 1, 0, 1]
    grid.ended(jobs[0], None)
    assert grid.summary()["done"] == 0
    grid.ended(jobs[1], None)
    grid.ended(jobs[2], None)
    summary = grid.summary()
    assert (summary["done"], summary["trials_now"], summary["best"]) == (1, 3, jobs[0].cell.label)
    assert summary["best_accuracy"] == 0.999


def test_a_failed_cell_is_written_with_its_reason_and_is_not_tried_again(grid: Grid) -> None:
    jobs = grid.jobs()
    first = next(jobs)
    grid.ended(first, "Diverged: no longer finite")
    rest = list(jobs)
    assert first.cell not in [job.cell for job in rest]
    grid.ended(Job(first.cell, 1), None)  # ran beside it
    (path,) = grid.store.folder(grid.row).glob("*.json")
    result = json.loads(path.read_text())
    assert (result["status"], result["reason"]) == ("failed", "Diverged: no longer finite")
    assert grid.summary()["failures"] == {first.cell.name: "Diverged: no longer finite"}


def test_a_finished_cell_does_not_run_again(grid: Grid) -> None:
    for job in [job for job in grid.jobs() if job.cell.values["train.lr"] == 0.01]:
        grid.ended(job, None)
    again = Grid(grid.row, grid.store, "cpu")
    assert {job.cell.values["train.lr"] for job in again.jobs()} == {0.001}


def start(file: Path, out: Path, seconds: float = 600) -> subprocess.Popen[bytes]:
    words = ["--row", str(file), "--out", str(out), "--device", "cpu", "--processes", "2"]
    command = [sys.executable, "-m", "scripts.gpu_grid", *words, "--seconds", str(seconds)]
    return subprocess.Popen(command, cwd=gpu_grid.ROW.parents[3])


class Threads(ThreadPoolExecutor):
    """Stands for processes; it has no contexts."""

    def __init__(self, n: int, *_: Any, **__: Any) -> None:
        super().__init__(n)


def test_without_time_no_further_trial_begins(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[int] = []

    def trial(settings: dict[str, Any], seed: int, *_: Any) -> None:
        began.append(seed)
        time.sleep(0.4)

    monkeypatch.setattr(gpu_grid, "ProcessPoolExecutor", Threads)
    monkeypatch.setattr(gpu_grid, "_run_trial", trial)
    monkeypatch.setattr(gpu_grid, "SAVE_SECONDS", 0.0)
    assert not gpu_grid.run(grid, 2, seconds=0.1)
    assert (began, grid.n_trials) == ([0, 1], 0)
    assert gpu_grid.run(Grid(grid.row, grid.store, "cpu"), 8, seconds=math.inf)
    assert len(list(grid.store.folder(grid.row).glob("*.json"))) == 4


def results_of(folder: Path, row: Row) -> list[dict[str, Any]]:
    """Return of each result what a second computation has to repeat."""
    keys = ("settings", "position", "repeats", "run", "curves", "status")
    results = []
    for cell in grids.cells(row, "full"):
        result = json.loads((folder / "toys" / "full" / "T1" / f"{cell.name}.json").read_text())
        scores = result["record"]["scores"]
        results.append({**{key: result[key] for key in keys}, "scores": scores})
    return results


def swept(row: Row, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the results of an undisturbed sweep in this process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    sweep.run([row], ResultStore("full", folder / "runs", folder / "swept"), device="cpu")
    return results_of(folder / "swept", row)


@pytest.mark.slow
def test_the_results_are_those_of_a_sweep(
    file: Path, row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start(file, tmp_path / "grid").wait(600) == 0
    results = results_of(tmp_path / "grid" / "results", row)
    assert results == swept(row, tmp_path, monkeypatch)
    assert not list((tmp_path / "grid").rglob("model.safetensors"))


@pytest.mark.slow
def test_after_a_signal_it_continues_from_the_saved_states(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(
        ROW.replace("STEPS", "600").replace("trials: 2", "trials: 1")
        + "scales: {full: {only: {train.lr: [0.001]}}}\n"
    )
    (row,) = schema.read([file])
    out = tmp_path / "grid"
    process = start(file, out)
    deadline = time.monotonic() + 300
    while len(list(out.rglob("checkpoint.pt"))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("checkpoint.pt")}
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(300) == 130
    after = {path: path.stat().st_mtime_ns for path in out.rglob("checkpoint.pt")}
    assert after.keys() == before.keys()
    assert all(after[path] > before[path] for path in before)
    summary = json.loads((out / "records" / "grid.json").read_text())
    assert (summary["done"], summary["failed"]) == (0, 0)
    assert start(file, out).wait(600) == 0
    assert results_of(out / "results", row) == swept(row, tmp_path, monkeypatch)
