"""A sweep runs what is missing and nothing else, keeps what failed, and chooses as a search should."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from fewshot import io
from fewshot.runs import experiment
from fewshot.studies import grids, schema, sweep
from fewshot.studies.results import ResultStore, row_statuses

COMMON = {"title": "T", "question": "Q?", "source": "slide 1"}
QUICK = {
    "method": "scratch",
    "data": "digits",
    "shots": 5,
    "backbone": {"name": "mlp", "options": {"widths": [16]}},
    "train": {"steps": 4, "batch_size": 16, "log_every_epochs": 1},
}


def rows_of(folder: Path, **files: dict[str, Any]) -> list[schema.Row]:
    place = folder / "configs" / "one"
    place.mkdir(parents=True, exist_ok=True)
    for name, keys in files.items():
        (place / f"{name}.yaml").write_text(
            yaml.safe_dump({**COMMON, "trials": 2, **keys}, sort_keys=False)
        )
    return schema.read([place])


def store_in(folder: Path) -> ResultStore:
    return ResultStore("full", folder / "runs", folder / "results")


class Told(list[tuple[str, str, str]]):
    """What a sweep told: row, cell, status or 'begins'."""

    def __call__(self, row: schema.Row, cell: grids.Cell, result: dict[str, Any] | None) -> None:
        self.append((row.name, cell.name, "begins" if result is None else result["status"]))


def ended(told: Told) -> list[tuple[str, str, str]]:
    return [each for each in told if each[2] != "begins"]


def test_results_are_the_runs_records_and_a_second_sweep_runs_nothing(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, X1={"base": QUICK, "grid": [{"train.lr": [0.01, 0.1]}]})
    store, told = store_in(tmp_path), Told()
    sweep.run(rows, store, on_cell=told)
    assert ended(told) == [("X1", "lr=0.01", "done"), ("X1", "lr=0.1", "done")]
    for result, lr in zip(store.results_of(rows[0]), (0.01, 0.1), strict=True):
        alone = experiment.run(
            {**QUICK, "train": {**QUICK["train"], "lr": lr}}, [0, 1], out=tmp_path / "alone"
        )
        assert result["record"]["scores"] == alone.to_json()["scores"]
        assert result["run"] == alone.run_id
        assert result["values"] == {"train.lr": lr}
        lines = (
            (tmp_path / "alone" / alone.run_id / "trial-1" / "metrics.jsonl")
            .read_text()
            .splitlines()
        )
        losses = [json.loads(line)["train_loss"] for line in lines]
        assert result["curves"]["train_loss"][1] == pytest.approx(losses, abs=1e-5)
        assert len(result["curves"]["epoch"]) == len(losses) == 2
    again = Told()
    sweep.run(rows, store, on_cell=again)
    assert again == []
    (known,) = row_statuses(rows, store)
    assert (known.cells, known.done, known.seconds) == (2, 2, 0)


def test_a_cell_that_is_asked_for_otherwise_runs_again(tmp_path: Path) -> None:
    store, told = store_in(tmp_path), Told()
    sweep.run(rows_of(tmp_path, X1={"base": QUICK, "grid": [{"train.lr": [0.01]}]}), store)
    more = rows_of(tmp_path, X1={"base": QUICK, "grid": [{"train.lr": [0.01]}], "trials": 3})
    (known,) = row_statuses(more, store)
    assert (known.cells, known.done) == (1, 0)
    other = rows_of(tmp_path, X1={"base": QUICK, "grid": [{"train.lr": [0.02]}]})
    assert row_statuses(other, store)[0].done == 0
    sweep.run(more, store, on_cell=told)
    assert ended(told) == [("X1", "lr=0.01", "done")]
    (result,) = store.results_of(more[0])
    assert result["record"]["seeds"] == [0, 1, 2]


def test_what_fails_is_kept_and_tried_again_and_the_rest_goes_on(
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
    rows = rows_of(tmp_path, X1={"base": QUICK, "grid": [{"case": cases}]})
    store = store_in(tmp_path)
    for _ in range(2):
        told = Told()
        sweep.run(rows, store, on_cell=told)
        failing = [
            ("X1", "wrong", "failed"),
            ("X1", "diverges", "failed"),
            ("X1", "elsewhere", "not run"),
        ]
        assert ended(told)[:3] == failing
    assert len(ended(told)) == 3  # the second time what went well is left alone
    reasons = {result["cell"]: result["reason"] for result in store.results_of(rows[0])}
    assert "width" in reasons["wrong"]
    assert "the loss is not finite" in reasons["diverges"]
    assert "the pretrained weights of 'resnet18' could not be loaded" in reasons["elsewhere"]
    (known,) = row_statuses(rows, store)
    assert (known.done, known.failed, known.not_run) == (1, 2, 1)


def test_a_search_keeps_the_best_of_each_step_by_validation_accuracy(tmp_path: Path) -> None:
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
    rows = rows_of(
        tmp_path,
        X1={"kind": "search", "base": base, "grid": [{"network": networks}], "steps": steps},
    )
    store = store_in(tmp_path)
    sweep.run(rows, store)
    results = store.results_of(rows[0])
    assert len(results) == 10
    for network in networks:
        mine = [result for result in results if result["values"]["network"] == network]
        first = [each for each in mine if "train.batch_size" not in each["values"]]
        best, best_accuracy = None, -1.0
        for each in first:  # slowly: the mean over draws of what validation images said
            found = sum(each["record"]["validation"]["accuracy"]["values"]) / 2
            if found > best_accuracy:
                best, best_accuracy = each["values"]["train.lr"], found
        assert [each["values"]["train.lr"] for each in mine[3:]] == [best, best]
        assert [each["settings"]["train"]["batch_size"] for each in mine[3:]] == [8, 16]


def test_votes_and_costs_look_at_the_runs_of_other_rows(tmp_path: Path) -> None:
    base = {**QUICK, "full": True, "validation": {"share": 0.2}}
    del base["shots"]
    rows = rows_of(
        tmp_path,
        X1={"base": base, "grid": [{"train.lr": [0.01, 0.03, 0.1]}]},
        X2={"kind": "vote", "rows": ["X1"], "rules": ["soft"], "percents": [50, 100]},
        X3={"kind": "benchmark", "benchmark": "cost", "rows": ["X1", "X2"]},
    )
    store = store_in(tmp_path)
    sweep.run(rows, store)
    runs = [io.read_json(path) for path in sorted((tmp_path / "runs").glob("*/trial-*/trial.json"))]
    assert len(runs) == 6
    half, whole = store.results_of(rows[1])
    assert (half["values"]["best"], whole["values"]["best"]) == (50, 100)
    assert half["record"]["config"]["best_percent"] == 50
    assert whole["record"]["seeds"] == [None]
    (cost,) = store.results_of(rows[2])
    seconds = sum(each["cost"]["train_seconds"] + each["cost"]["adapt_seconds"] for each in runs)
    name, trainings, hours = cost["record"]["rows"][0]
    assert (name, trainings) == ("X1", 6)
    assert hours == pytest.approx(seconds / 3600, abs=1e-4)


def test_shards_share_the_work_without_overlap(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path, X1={"base": QUICK, "grid": [{"train.lr": [0.01, 0.02, 0.03]}], "trials": 1}
    )
    store, found = store_in(tmp_path), []
    for part in ((1, 2), (2, 2)):
        told = Told()
        sweep.run(rows, store, shard=part, on_cell=told)
        found.append([cell for _, cell, _ in ended(told)])
    assert found == [["lr=0.01", "lr=0.03"], ["lr=0.02"]]


def fewshot(*words: str, **keys: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fewshot", *words], capture_output=True, text=True, **keys
    )


def test_the_command_plans_runs_and_says_what_is_wrong(tmp_path: Path) -> None:
    rows_of(
        tmp_path,
        X1={"base": QUICK, "grid": [{"train.lr": [0.01, 0.02]}], "trials": 1, "seconds": 90},
    )
    words = ["sweep", str(tmp_path / "configs"), "--scale", "full", "--out", str(tmp_path / "runs")]
    planned = fewshot(*words, "--dry-run")
    assert "one/X1" in planned.stdout
    assert "2 cells, about 3 minutes left on two cores, scale full" in planned.stdout
    assert not (tmp_path / "runs").exists()
    done = fewshot(*words, "--shard", "1/2")
    assert done.returncode == 0, done.stderr
    assert "one/X1 lr 0.01: done, accuracy 0." in done.stderr
    assert len(list((tmp_path / "runs" / "studies" / "one" / "full" / "X1").iterdir())) == 1
    for wrong, said in [
        (["--only", "X9"], "there is no such row"),
        (["--shard", "3/2"], "--shard 3/2: expected i/n with i from 1 to n"),
        (["--scale", "tiny"], "--scale tiny: expected one of smoke, small, full"),
    ]:
        refused = fewshot(*words, *wrong)
        assert refused.returncode == 2
        assert said in refused.stderr


def test_a_failed_cell_gives_exit_code_1(tmp_path: Path) -> None:
    rows_of(
        tmp_path,
        X1={"base": QUICK, "grid": [{"train.lr": [0.01]}, {"learner.hidden": ["x"]}], "trials": 1},
    )
    done = fewshot(
        "sweep", str(tmp_path / "configs"), "--scale", "full", "--out", str(tmp_path / "runs")
    )
    assert done.returncode == 1, done.stderr
    assert "failed" in done.stderr


SLOWER = {**QUICK, "train": {**QUICK["train"], "steps": 400}, "backbone": {"name": "conv4"}}


def test_ray_gives_the_same_results(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    rows = rows_of(
        tmp_path, X1={"base": QUICK, "grid": [{"train.lr": [0.01, 0.02, 0.03]}], "trials": 1}
    )
    rows += rows_of(tmp_path, X2={"base": QUICK, "grid": [{"learner.hidden": ["x"]}], "trials": 1})[
        1:
    ]
    one, other = (
        store_in(tmp_path),
        ResultStore("full", tmp_path / "ray-runs", tmp_path / "ray-results"),
    )
    alike = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
    }  # sums of several threads have an order of their own
    for store, more in ((one, []), (other, ["--workers", "2"])):
        words = ["sweep", str(tmp_path / "configs"), "--scale", "full", *more]
        done = fewshot(
            *words,
            "--out",
            str(store.runs_folder),
            "--results",
            str(store.results_folder),
            env=alike,
        )
        assert done.returncode == 1, done.stderr  # X2 fails in either
    assert [_told(each) for each in other.results_of(rows[0])] == [
        _told(each) for each in one.results_of(rows[0])
    ]
    assert [each["reason"] for each in other.results_of(rows[1])] == [
        each["reason"] for each in one.results_of(rows[1])
    ]


def _told(result: dict[str, Any]) -> tuple[Any, ...]:
    return (
        result["cell"],
        result["record"]["scores"],
        result["record"]["confusion"],
        result["curves"],
    )


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["driver", "worker", "ray driver"])
def test_killed_at_random_moments_it_ends_as_an_undisturbed_sweep(
    tmp_path: Path, victim: str
) -> None:
    rows = rows_of(
        tmp_path, X1={"base": SLOWER, "grid": [{"train.lr": [0.001, 0.002, 0.003]}], "trials": 2}
    )
    whole, killed = (
        store_in(tmp_path),
        ResultStore("full", tmp_path / "killed-runs", tmp_path / "killed-results"),
    )
    alike = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
    }  # sums of several threads have an order of their own
    moments = random.Random(victim)

    def words(store: ResultStore) -> list[str]:
        found = [
            "sweep",
            str(tmp_path / "configs"),
            "--scale",
            "full",
            "--out",
            str(store.runs_folder),
        ]
        return [
            *found,
            "--results",
            str(store.results_folder),
            *([] if victim == "driver" else ["--workers", "2"]),
        ]

    def start() -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            [sys.executable, "-m", "fewshot", *words(killed)], stderr=quiet, stdout=quiet, env=alike
        )

    assert fewshot(*words(whole), env=alike).returncode == 0
    finished: dict[Path, int] = {}
    hits = 0
    process = start()
    for _ in range(5):
        if victim == "worker":
            while process.poll() is None and not _workers():
                time.sleep(0.05)
            time.sleep(moments.uniform(0.3, 2))
            hits += bool(running := _workers())
            for pid in running[:1]:
                os.kill(pid, signal.SIGKILL)
            continue
        time.sleep(moments.uniform(3, 8))
        hits += process.poll() is None
        process.kill()
        process.wait()
        for path in killed.runs_folder.glob(
            "*/trial-*/trial.json"
        ):  # what was done stays as it was
            assert finished.setdefault(path, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
        process = start()
    assert process.wait() == 0
    assert hits >= 3  # or the sweep was over before it could be disturbed
    assert [_told(each) for each in killed.results_of(rows[0])] == [
        _told(each) for each in whole.results_of(rows[0])
    ]
    assert all(path.stat().st_mtime_ns == moment for path, moment in finished.items())


def _workers() -> list[int]:
    """Processes of Ray that run a cell now."""
    found = subprocess.run(
        ["pgrep", "-f", "ray::run_cell"], capture_output=True, text=True
    ).stdout.split()
    return [int(pid) for pid in found]
