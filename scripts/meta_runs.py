"""Measure the rows of reports/meta.md: meta-trained learners, the same untrained, and MAML's head.

python -m scripts.meta_runs ROW ... --out DIR [--device cuda] [--seconds 120] [--set key=value]

The records are written to DIR/records; those of the page lie in reports/records/meta, those of the
rows k11 in reports/records/memorising. With `--seconds`, a meta-training that would take longer is
shortened before it starts: a few of its steps are timed, and its schedule then ends at the step
that the time allows. `--list` shows the rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fewshot import config, io
from fewshot.runs import experiment, resolve, training_stream
from fewshot.runs.trial_data import Part
from fewshot.training import trainer

FOLDER = "meta"  # of the page's records, in reports/records
SHOTS = (16, 1, 4)
TRIALS = 10
STARTS = {"shipped": "meta", "random": "meta-random"}
LEARNERS = {
    "protonet": ("protonet", ""),
    "siamese": ("siamese", ""),
    "maml": ("maml", ""),
    "maml-first": ("maml", "-first"),
    "anil": ("maml", "-anil"),
}
# Row K11 of study kshot with a learned head: the settings of its cell "the slides' setting".
K11: dict[str, Any] = {
    "method": "maml",
    "preset": "random",
    "shots": 16,
    "augment": [],
    "train": {
        "lr": 0.001,
        "optimizer": {"name": "adam"},
        "schedule": {"name": "constant", "warmup": 0},
    },
}
K11_LEARNER = {"head": "learned", "inner_lr": 0.0001, "body_lr": None}
K11_TRIALS = 3
K11_SHORT_STEPS = 60  # enough to learn 160 images by heart
WARM_UP, TIMED = 3, 10  # steps of the estimate


def untrained(name: str, start: str) -> tuple[str, str]:
    """Return the folder and the name of the records of a learner without its meta-training.

    On the shipped body, the heads alone are the presets `few`. First-order MAML differs from MAML
    in training alone.
    """
    if start == "shipped" and not name.startswith("maml"):
        return "learners", LEARNERS[name][0]
    return FOLDER, f"{name.removesuffix('-first')}-{start}-untrained"


def rows() -> dict[str, dict[str, Any]]:
    """Return the request of every row by its name; those with a budget of labels have one."""
    requests: dict[str, dict[str, Any]] = {}
    for start, preset in STARTS.items():
        for name, (method, suffix) in LEARNERS.items():
            values = {"method": method, "preset": preset + suffix}
            requests[f"{name}-{start}"] = values
            if untrained(name, start)[0] == FOLDER and name != "maml-first":
                requests[f"{name}-{start}-untrained"] = {**values, "train": None, "augment": []}
    for label, relabel in (("fixed", False), ("shuffled", True)):
        learner = {**K11_LEARNER, "relabel": relabel, "test_steps": 10}
        requests[f"k11-{label}-10"] = {**K11, "learner": learner}
        for steps in (0, 10):  # short trainings for the comparison of the inner steps
            short = {**learner, "order": "first", "test_steps": steps}
            train = {**K11["train"], "steps": K11_SHORT_STEPS}
            requests[f"k11-short-{label}-{steps}"] = {**K11, "learner": short, "train": train}
    return requests


def affordable_steps(
    request: Mapping[str, Any], out: Path, device: str | None, seconds: float
) -> int:
    """Return the steps of a meta-training that take at most so many seconds, at most its own."""
    run = resolve.resolve_run({**request, "shots": 1}, out, device)
    (base,) = run.bases
    assert run.config.train is not None
    learner = run.build_learner(0)
    images = Part(base, torch.arange(len(base)))
    stream, steps_per_epoch = training_stream.of_run(run, learner, images, seed=0)
    own = run.config.train.total_steps(steps_per_epoch)
    if own <= WARM_UP + TIMED:
        return own
    for steps in (WARM_UP, TIMED):
        settings = run.config.train.model_copy(update={"steps": steps})
        timed = trainer.fit(learner, stream, settings, steps_per_epoch)
    steps_in_time = int(seconds / (timed.seconds / TIMED) // 50 * 50)
    return min(own, max(50, steps_in_time))


def measure(name: str, arguments: argparse.Namespace) -> None:
    """Run the trials of a row, at 16 labels first, and write its records."""
    request, changes = rows()[name], config.overrides(arguments.set)
    trained = "train" not in request or request["train"] is not None
    if not trained:
        changes.pop("train", None)
    request = config.overlay(request, changes)
    if arguments.seconds is not None and trained and "shots" not in request:
        steps = affordable_steps(request, arguments.out, arguments.device, arguments.seconds)
        print(f"{name}: {steps} steps", flush=True)
        request = config.overlay(request, {"train.steps": steps})
    fixed = "shots" in request
    folder = arguments.out / "records"
    io.make_folder(folder)
    for shots in (request["shots"],) if fixed else SHOTS:
        trials = range(arguments.trials or (K11_TRIALS if fixed else TRIALS))
        record = experiment.run(
            {**request, "shots": shots}, trials, out=arguments.out, device=arguments.device
        )
        io.write_json(folder / f"{name if fixed else f'{name}-{shots}'}.json", record.to_json())
        print(f"{name}, {shots} labels per class: {record.scores['accuracy']}", flush=True)


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line and measure the rows one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--device")
    parser.add_argument("--seconds", type=float, help="longest meta-training of a row")
    parser.add_argument("--trials", type=int, help="of each row; default 10, of k11 rows 3")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--list", action="store_true", help="show the names of the rows")
    arguments = parser.parse_args(words)
    if arguments.list:
        print("\n".join(rows()))
    unknown = [name for name in arguments.rows if name not in rows()]
    if unknown:
        sys.exit(f"unknown row {unknown[0]}: see --list")
    for name in arguments.rows:
        measure(name, arguments)


if __name__ == "__main__":
    main()
