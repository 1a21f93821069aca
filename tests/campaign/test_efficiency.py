"""Oracle: the clock. A study of short cells on two nodes, on two workers and on one process.

Nothing else may run on the machine meanwhile. Every process computes with one thread.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from tests.campaign import hosts
from tests.campaign.conftest import Outcomes
from tests.campaign.test_two_nodes import ADDRESS, BASE, Study

pytestmark = pytest.mark.skipif(bool(hosts.lacking()), reason=hosts.lacking())

CELLS = 60
CELL_SECONDS = 3.7
FIRST_STEPS = 50
LEAST = 0.9  # of the efficiency of two nodes and of two workers
WIDER = {"name": "conv4", "options": {"width": 32}}


def base_of(steps: int) -> dict[str, Any]:
    """Return the settings of a cell that trains for so many steps."""
    train = {"steps": steps, "batch_size": 32, "log_every_epochs": 1000}
    return {**BASE, "shots": 20, "precision": "float32", "backbone": WIDER, "train": train}


def seconds_of(*sweeps: Callable[[], Popen[str]]) -> float:
    """Return how long sweeps take that start at the same time."""
    began = time.monotonic()
    for process in [start() for start in sweeps]:
        code, messages = hosts.ended(process)
        assert code == 0, messages
    return time.monotonic() - began


def steps_of_a_cell(folder: Path) -> int:
    """Return how many steps take CELL_SECONDS on one core while the other works too."""
    study = Study(folder, 2, base_of(FIRST_STEPS))
    with hosts.two(study.environment, cores=True) as both:
        seconds_of(*(lambda host=host: host.start(*study.sweep(host.name)) for host in both))
    results = [json.loads(path.read_text()) for path in study.results("left")]
    costs = [result["record"]["cost"] for result in results]
    seconds = min(cost["train_seconds"] + cost["calibration_seconds"] for cost in costs)
    shutil.rmtree(folder)
    return max(1, round(FIRST_STEPS * CELL_SECONDS / seconds))


def test_two_nodes_and_two_workers_are_efficient(
    tmp_path: Path, amount: Callable[[int], int], outcomes: Callable[[str], Outcomes]
) -> None:
    pytest.importorskip("ray")
    (tmp_path / "first").mkdir()
    steps = steps_of_a_cell(tmp_path / "first")
    study = Study(tmp_path, max(4, amount(CELLS)), base_of(steps))
    seconds: dict[str, float] = {}
    with outcomes("two-nodes-efficiency") as part:
        with hosts.two(study.environment, cores=True) as (left, right):

            def start(host: hosts.Host, name: str, *options: str) -> Callable[[], Popen[str]]:
                return lambda: host.start(*study.sweep(name, *options))

            seconds["one process"] = seconds_of(start(left, "alone"))
            halves = [
                start(host, "shards", "--shard", f"{number}/2")
                for number, host in enumerate((left, right), start=1)
            ]
            seconds["two shards"] = seconds_of(*halves)
            for host in (left, right):
                hosts.start_ray(host, left)
            in_ray = start(left, "ray", "--ray-address", ADDRESS)
            seconds["two nodes of a Ray cluster"] = seconds_of(in_ray)
        with hosts.two(study.environment) as (left, _):
            seconds["--workers 2"] = seconds_of(start(left, "workers", "--workers", "2"))
        part.figures["seconds of one process"] = round(seconds["one process"], 1)
        part.figures["steps of a cell"] = steps
        for name in ("two shards", "two nodes of a Ray cluster", "--workers 2"):
            efficiency = seconds["one process"] / (2 * seconds[name])
            part.figures[f"seconds of {name}"] = round(seconds[name], 1)
            part.figures[f"efficiency of {name}"] = round(efficiency, 3)
            if efficiency < LEAST:
                part.fail(f"{name}: efficiency {efficiency:.3f} of {seconds}")
        for name in ("shards", "ray", "workers"):
            if differing := study.differing(name):
                part.fail(f"{name}: other results: {differing}")
            else:
                part.count("sweeps of the same results")
