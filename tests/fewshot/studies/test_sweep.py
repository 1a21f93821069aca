"""Oracle: runs made one by one, choices made slowly here, and sweeps that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fewshot import io
from fewshot.runs.episodic import experiment
from fewshot.studies import executors, grids, staleness, sweep
from fewshot.studies.results import Result, ResultStore, row_statuses
from fewshot.studies.schema import Row
from tests.fewshot.report.handmade import content
from tests.fewshot.studies.rows import COMMON, QUICK, row_of, rows_of, store_in


class Events(list[tuple[str, str, str]]):
    """What a sweep reported: row, cell, and a status or `starts`."""

    def __call__(self, row: Row, cell: grids.Cell, result: Result | None) -> None:
        self.append((row.name, cell.name, "starts" if result is None else result["status"]))

    def ended(self) -> list[tuple[str, str, str]]:
        return [event for event in self if event[2] != "starts"]


def test_a_second_sweep_runs_nothing(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, X1={"base": QUICK, "grid": [{"train.lr": [0.01, 0.1]}]})
    store, events = store_in(tmp_path), Events()
    sweep.run(rows, store, on_cell=events)
    assert events == [
        ("X1", "lr=0.01", "starts"),
        ("X1", "lr=0.01", "done"),
        ("X1", "lr=0.1", "starts"),
        ("X1", "lr=0.1", "done"),
    ]
    assert [result["values"] for result in store.results_of(rows[0])] == [
        {"train.lr": 0.01},
        {"train.lr": 0.1},
    ]
    again = Events()
    sweep.run(rows, store, on_cell=again)
    assert again == []
    (status,) = row_statuses(rows, store)
    assert (status.cells, status.done, status.seconds) == (2, 2, 0)


def test_a_row_of_the_episodic_regime_is_swept_and_becomes_stale(tmp_path: Path) -> None:
    body = {"name": "conv4", "weights": "none", "options": {"width": 8}}
    tasks = {"ways": 3, "queries": 5, "count": 20}
    keys = {
        **COMMON,
        "study": "one",
        "name": "X1",
        "kind": "episodes",
        "base": {"data": "digits", "backbone": body, "tasks": tasks},
        "grid": [{"method": ["nearest-mean"], "tasks.shots": [1, 2]}],
    }
    row, store = Row.model_validate(keys), store_in(tmp_path)
    sweep.run([row], store, device="cpu")
    first, second = store.results_of(row)
    alone = experiment.run(first["settings"], out=tmp_path / "alone", device="cpu")
    assert first["record"]["correct"] == alone.to_json()["correct"]
    assert (first["run"], second["status"]) == (alone.run_id, "done")
    assert not staleness.is_stale(first)
    assert staleness.is_stale({**first, "settings": second["settings"]})
    assert row_statuses([row], store)[0].done == 2
    again = Events()
    sweep.run([row], store, on_cell=again)
    assert again == []


def test_a_cell_whose_settings_or_trials_changed_runs_again(tmp_path: Path) -> None:
    store, events = store_in(tmp_path), Events()
    cell = {"base": QUICK, "grid": [{"train.lr": [0.01]}]}
    sweep.run(rows_of(tmp_path, X1={**cell, "trials": 1}), store)
    other = rows_of(tmp_path, X1={"base": QUICK, "grid": [{"train.lr": [0.02]}]})
    assert row_statuses(other, store)[0].done == 0
    more_trials = rows_of(tmp_path, X1={**cell, "trials": 2})
    assert row_statuses(more_trials, store)[0].done == 0
    sweep.run(more_trials, store, on_cell=events)
    assert events.ended() == [("X1", "lr=0.01", "done")]
    (result,) = store.results_of(more_trials[0])
    assert result["record"]["seeds"] == [0, 1]


def test_a_failed_cell_is_saved_and_tried_again_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    published = {"name": "resnet18", "weights": "pretrained", "input_size": 32}
    cases = {
        "wrong": {"backbone.options": {"width": 3}},
        "diverges": {"train.lr": 1e30, "train.optimizer": {"name": "sgd"}},
        "elsewhere": {"backbone": published},
        "well": {"train.lr": 0.01},
    }
    rows = rows_of(tmp_path, X1={"base": QUICK, "grid": [{"case": cases}], "trials": 1})
    store = store_in(tmp_path)
    failing = [
        ("X1", "wrong", "failed"),
        ("X1", "diverges", "failed"),
        ("X1", "elsewhere", "not run"),
    ]
    first, second = Events(), Events()
    sweep.run(rows, store, on_cell=first)
    assert first.ended() == [*failing, ("X1", "well", "done")]
    sweep.run(rows, store, on_cell=second)
    assert second.ended() == failing
    reasons = {result["cell"]: result["reason"] for result in store.results_of(rows[0])}
    assert "width" in reasons["wrong"]
    assert "the loss is not finite" in reasons["diverges"]
    assert "the pretrained weights of 'resnet18' could not be loaded" in reasons["elsewhere"]
    (status,) = row_statuses(rows, store)
    assert (status.done, status.failed, status.not_run) == (1, 2, 1)


def test_a_search_continues_with_the_best_value_by_validation_accuracy(tmp_path: Path) -> None:
    base = {
        **QUICK,
        "shots": 20,
        "train": {**QUICK["train"], "steps": 12},
        "validation": {"share": 0.5},
    }
    networks = {
        "wide": {"backbone.options.widths": [32]},
        "narrow": {"backbone.options.widths": [2]},
    }
    steps = [{"train.lr": [1e-6, 0.03, 1e-5]}, {"train.batch_size": [8, 16]}]
    row = {"kind": "search", "base": base, "grid": [{"network": networks}], "steps": steps}
    rows = rows_of(tmp_path, X1=row)
    store = store_in(tmp_path)
    sweep.run(rows, store)
    results = store.results_of(rows[0])
    assert len(results) == 10
    for network in networks:
        search = [result for result in results if result["values"]["network"] == network]
        best, best_accuracy = None, -1.0
        for result in search[:3]:
            accuracies = result["record"]["validation"]["accuracy"]["values"]
            mean = sum(accuracies) / len(accuracies)
            if mean > best_accuracy:
                best, best_accuracy = result["values"]["train.lr"], mean
        assert [result["values"]["train.lr"] for result in search[3:]] == [best, best]
        assert [result["settings"]["train"]["batch_size"] for result in search[3:]] == [8, 16]


def test_of_equal_accuracies_the_first_of_the_table_wins_in_whatever_order_results_arrive(
    tmp_path: Path,
) -> None:
    row = row_of(
        tmp_path,
        kind="search",
        base=QUICK,
        grid=[{"network": {"only": {}}}],
        steps=[{"train.lr": [0.01, 0.02, 0.03]}, {"train.batch_size": [8, 16]}],
    )
    store, (start,) = store_in(tmp_path), grids.searches(row, "full")
    accuracies = {0.01: 0.4, 0.02: 0.6, 0.03: 0.6}
    for order in (1, -1):
        chain = sweep._search(row, "full", start)
        results = {}
        for cell in next(chain)[::order]:
            mean = accuracies[cell.values["train.lr"]]
            score = {"mean": mean, "std": None, "ci95": None, "values": [mean]}
            made = executors.outcome("done", record=content(validation={"accuracy": score}))
            results[cell.name] = store.write(row, cell, made)
        assert {cell.values["train.lr"] for cell in chain.send(results)} == {0.02}


def test_votes_and_costs_leave_out_results_of_cells_that_a_row_no_longer_has(
    tmp_path: Path,
) -> None:
    readers = {
        "X2": {"kind": "vote", "rows": ["X1"], "rules": ["soft"], "percents": [100]},
        "X3": {"kind": "benchmark", "benchmark": "cost", "rows": ["X1"]},
    }
    store = store_in(tmp_path)
    before = rows_of(tmp_path, X1={"base": QUICK, "grid": [{"train.lr": [0.01, 0.02]}]}, **readers)
    for cell in grids.cells(before[0], "full"):
        made = executors.outcome("done", record=content("scratch"), run=cell.name)
        store.write(before[0], cell, made)
    fewer = rows_of(tmp_path, X1={"base": QUICK, "grid": [{"train.lr": [0.02]}]}, **readers)
    changed = {**QUICK, "shots": 6}
    others = rows_of(tmp_path, X1={"base": changed, "grid": [{"train.lr": [0.02]}]}, **readers)
    expected = [(before, ["lr=0.01", "lr=0.02"]), (fewer, ["lr=0.02"]), (others, [])]
    for rows, names in expected:
        for reader in rows[1:]:
            assert [result["cell"] for result in sweep._results_read(reader, rows, store)] == names


def test_votes_and_costs_read_the_runs_of_other_rows(tmp_path: Path) -> None:
    base = {**QUICK, "full": True, "validation": {"share": 0.2}}
    del base["shots"]
    vote = {"kind": "vote", "rows": ["X1"], "rules": ["soft"]}
    small_vote = {"full": {"rows": {"X1": {"train.lr": [0.01, 0.1]}}}}
    rows = rows_of(
        tmp_path,
        X1={"base": base, "grid": [{"train.lr": [0.01, 0.03, 0.1]}]},
        X2={**vote, "percents": [50, 100]},
        X3={"kind": "benchmark", "benchmark": "cost", "rows": ["X1", "X2"]},
        X4={**vote, "scales": {"small": small_vote["full"]}},
        X5={**vote, "rows": ["X9"]},
    )
    store = store_in(tmp_path)
    sweep.run(rows, store)
    trials = [
        io.read_json(path) for path in sorted((tmp_path / "runs").glob("*/trial-*/trial.json"))
    ]
    assert len(trials) == 6
    half, whole = store.results_of(rows[1])
    assert (half["values"]["best"], whole["values"]["best"]) == (50, 100)
    assert half["record"]["config"]["best_percent"] == 50
    assert whole["record"]["config"]["candidates"] == 6
    assert whole["record"]["seeds"] == [None]
    (cost,) = store.results_of(rows[2])
    parts = ("train_seconds", "adapt_seconds", "calibration_seconds")
    seconds = sum(trial["cost"].get(part, 0) for trial in trials for part in parts)
    name, trainings, hours = cost["record"]["rows"][0]
    assert (name, trainings) == ("X1", 6)
    assert hours == pytest.approx(seconds / 3600, abs=1e-4)
    (missing,) = store.results_of(rows[4])
    assert missing["status"] == "not run"
    assert missing["reason"] == "it reads row X9, which this sweep leaves out."
    small = store._replace(scale="small")
    sweep.run(rows, small)
    (chosen,) = small.results_of(rows[3])
    assert chosen["record"]["config"]["candidates"] == 4


def test_shards_share_the_work_without_overlap(tmp_path: Path) -> None:
    row = {"base": QUICK, "grid": [{"train.lr": [0.01, 0.02, 0.03]}], "trials": 1}
    rows = rows_of(tmp_path, X1=row)
    store, cells = store_in(tmp_path), []
    for shard in ((1, 2), (2, 2)):
        events = Events()
        sweep.run(rows, store, shard=shard, on_cell=events)
        cells.append([cell for _, cell, _ in events.ended()])
    assert cells == [["lr=0.01", "lr=0.03"], ["lr=0.02"]]


# One thread in every process, because sums over several threads have an order of their own.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(folder: Path, store: ResultStore, *options: str) -> list[str]:
    """Return the words of the command that sweeps the rows in a folder."""
    folders = ["--out", str(store.runs_folder), "--results", str(store.results_folder)]
    sweep_words = ["sweep", str(folder / "configs"), "--scale", "full"]
    return [sys.executable, "-m", "fewshot", *sweep_words, *folders, *options]


def outcome_of(result: Result) -> tuple[Any, ...]:
    """Return what two sweeps of the same cell must agree on."""
    record = result["record"]
    numbers = (record["scores"], record["confusion"]) if record else ()
    return result["cell"], result["status"], result["reason"], numbers, result["curves"]


@pytest.mark.slow  # 10 s to start Ray
def test_ray_gives_the_same_results(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    cases = {
        "fast": {"train.lr": 0.1},
        "slow": {"train.lr": 0.01},
        "wrong": {"learner.hidden": "x"},
    }
    rows = rows_of(tmp_path, X1={"base": QUICK, "grid": [{"case": cases}], "trials": 1})
    alone = store_in(tmp_path)
    ray = ResultStore("full", tmp_path / "ray-runs", tmp_path / "ray-results")
    for store, options in ((alone, []), (ray, ["--workers", "2"])):
        process = subprocess.run(
            command(tmp_path, store, *options), capture_output=True, text=True, env=ENVIRONMENT
        )
        assert process.returncode == 1, process.stderr  # one of the cells fails
    outcomes = [outcome_of(result) for result in alone.results_of(rows[0])]
    assert [outcome_of(result) for result in ray.results_of(rows[0])] == outcomes
    assert [outcome[1] for outcome in outcomes] == ["done", "done", "failed"]


SLOWER = {**QUICK, "train": {**QUICK["train"], "steps": 400}, "backbone": {"name": "conv4"}}


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["driver", "worker", "ray driver"])
def test_a_sweep_killed_at_random_moments_ends_like_an_undisturbed_one(
    tmp_path: Path, victim: str
) -> None:
    row = {"base": SLOWER, "grid": [{"train.lr": [0.001, 0.002, 0.003]}], "trials": 2}
    rows = rows_of(tmp_path, X1=row)
    whole = store_in(tmp_path)
    killed = ResultStore("full", tmp_path / "killed-runs", tmp_path / "killed-results")
    options = [] if victim == "driver" else ["--workers", "2"]
    moments = random.Random(victim)

    def start() -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        words = command(tmp_path, killed, *options)
        return subprocess.Popen(words, stderr=quiet, stdout=quiet, env=ENVIRONMENT)

    assert subprocess.run(command(tmp_path, whole, *options), env=ENVIRONMENT).returncode == 0
    finished: dict[Path, int] = {}
    hits = 0
    process = start()
    for _ in range(5):
        if victim == "worker":
            while process.poll() is None and not ray_workers():
                time.sleep(0.05)
            time.sleep(moments.uniform(0.3, 2))
            running = ray_workers()
            hits += bool(running)
            for pid in running[:1]:
                os.kill(pid, signal.SIGKILL)
            continue
        time.sleep(moments.uniform(3, 8))
        hits += process.poll() is None
        process.kill()
        process.wait()
        for path in killed.runs_folder.glob("*/trial-*/trial.json"):  # finished trials stay
            modified = path.stat().st_mtime_ns
            assert finished.setdefault(path, modified) == modified
        process = start()
    assert process.wait() == 0
    assert hits >= 3  # or the sweep was over before it could be disturbed
    outcomes = [outcome_of(result) for result in whole.results_of(rows[0])]
    assert [outcome_of(result) for result in killed.results_of(rows[0])] == outcomes
    assert all(path.stat().st_mtime_ns == modified for path, modified in finished.items())


def ray_workers() -> list[int]:
    """Return the processes in which Ray runs a cell now."""
    words = ["pgrep", "-f", "ray::run_cell"]
    processes = subprocess.run(words, capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in processes]
