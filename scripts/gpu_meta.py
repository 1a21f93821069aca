"""Meta-train conv4 longer than a CPU can, and evaluate it on tasks of novel classes.

python -m scripts.gpu_worker meta --out DIR [--seconds 90]

The settings are those of the published records in `reports/records/episodes/tinyimagenet`: Tiny
ImageNet at 32 pixels in 120 base, 30 validation and 50 novel classes, 5-way tasks with one and with
five shots. Only the number of steps differs: as many as fit in the seconds, each method with an
equal share; a few steps of each are timed first.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fewshot import config, io
from fewshot.evaluation.statistics import summary
from fewshot.runs.episodic import experiment
from fewshot.runs.episodic.record import EpisodesRecord

METHODS = ("protonet", "anil")
SHOTS = (1, 5)
SECONDS = 90.0
TRAINING_SHARE = 0.7  # of the seconds; the rest is for the timing, the features and the tasks
WARM_UP_STEPS, TIMED_STEPS = 5, 40
MOST_STEPS = 10_000
PUBLISHED = Path(__file__).parent.parent / "reports" / "records" / "episodes" / "tinyimagenet"
REQUEST: dict[str, Any] = {
    "data": "tinyimagenet32",
    "split": "tinyimagenet",
    "train": True,
    "backbone": {"name": "conv4"},
    "tasks": {"count": 2000},
}
TOY: dict[str, Any] = {
    "data": "digits",
    "split": "seed:0:5/2/3",
    "select": "last",
    "train": {"steps": 2},
    "learner": {"episode_ways": 2, "episode_shots": 2, "episode_queries": 2},
    "tasks": {"ways": 3, "queries": 2, "count": 20},
}


def measure(device: str, toy: bool, out: Path, seconds: float = SECONDS) -> dict[str, Any]:
    """Meta-train each method, evaluate it and set it beside its published record.

    Returns:
        For each method its steps, training seconds and tasks per second, and for each number of
        shots the accuracy with its 95% interval, that of the CPU's record, and their difference.
    """
    began = time.monotonic()
    folder = out.parent / "runs" / "meta"
    io.make_folder(folder)
    plan = folder / "plan.json"
    if toy:
        io.write_json(plan, dict.fromkeys(METHODS, TOY["train"]["steps"]))
    elif not plan.exists():
        step_seconds = {method: _step_seconds(method, device, folder) for method in METHODS}
        share = TRAINING_SHARE * (seconds - (time.monotonic() - began)) / len(METHODS)
        io.write_json(plan, {method: _steps(share / one) for method, one in step_seconds.items()})
    steps = io.read_json(plan)  # those of an earlier call, if there was one
    return {method: _of_method(method, steps[method], device, toy, out) for method in METHODS}


def _step_seconds(method: str, device: str, folder: Path) -> float:
    """Return the seconds of a step, from the second of two short trainings."""
    for steps in (WARM_UP_STEPS, TIMED_STEPS):
        changes = {"method": method, "select": "last", "train": {"steps": steps}}
        request = {**REQUEST, **changes, "tasks": {"count": 10}}
        timed = experiment.run(request, out=folder, device=device)
    assert timed.training is not None
    return timed.training.seconds / TIMED_STEPS


def _steps(number: float) -> int:
    """Return a number of steps in whole hundreds, within bounds."""
    return min(MOST_STEPS, max(100, int(number) // 100 * 100))


def _of_method(method: str, steps: int, device: str, toy: bool, out: Path) -> dict[str, Any]:
    values = config.overlay(REQUEST, {"method": method, "train": {"steps": steps}})
    if toy:
        values |= TOY
    tasks = values["tasks"]
    requests = [{**values, "tasks": {**tasks, "shots": shots}} for shots in SHOTS]
    records = experiment.run_all(requests, out=out.parent / "runs" / "meta", device=device)
    results: dict[str, Any] = {}
    for shots, record in zip(SHOTS, records, strict=True):
        io.write_json(out / f"meta-{method}-{shots}.json", record.to_json())
        accuracy = record.accuracy
        results[f"{shots}-shot"] = {"accuracy": accuracy.mean, "ci95": accuracy.ci95}
        if not toy:
            published = PUBLISHED / f"conv4-{method}-{shots}.json"
            results[f"{shots}-shot"] |= beside(record, published)
    training = records[0].training
    assert training is not None
    n_tasks = training.steps * records[0].config["train"]["tasks_per_step"]
    return {
        "steps": training.steps,
        "train_seconds": training.seconds,
        "training_tasks_per_second": n_tasks / training.seconds,
        "peak_memory_mb": records[0].cost.peak_memory_mb,
        **results,
    }


def beside(record: EpisodesRecord, path: Path) -> dict[str, Any]:
    """Return the published record's accuracy, and the difference to it.

    The difference is paired over tasks; there is none if the tasks are others.
    """
    cpu = EpisodesRecord.from_json(io.read_json(path))
    assert cpu.training is not None
    result: dict[str, Any] = {
        "cpu_accuracy": cpu.accuracy.mean,
        "cpu_ci95": cpu.accuracy.ci95,
        "cpu_steps": cpu.training.steps,
        "n": record.accuracy.n,
    }
    if cpu.tasks_hash == record.tasks_hash:
        difference = summary((record.accuracies - cpu.accuracies).tolist())
        result |= {"difference": difference.mean, "difference_ci95": difference.ci95}
    return result
