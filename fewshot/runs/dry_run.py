"""What a request would run and how long it would take, without running a trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fewshot import progress
from fewshot.runs import cross_validation, one_trial, time_estimate, trained_on_test
from fewshot.runs.labelled_subset import labelled_subset
from fewshot.runs.resolve import resolve_run
from fewshot.training import devices


@dataclass(frozen=True)
class Forecast:
    """What a request would run.

    Args:
        run_id: id of the run.
        method, preset, backbone, weights, data: names.
        image_side: side of the images in pixels.
        classes: number of classes.
        smallest_class, largest_class: labelled images of one class, in a trial.
        labels: labelled images of a trial.
        n_test: test images of a trial.
        folds: number of folds of a cross-validation; None without one.
        trials: number of trials that were asked for.
        finished: those of them that are finished.
        steps: optimiser steps of a trial, those on folds included; 0 without training.
        shared_seconds: what the trials share: features of all images, or a meta-training.
        trial_seconds: seconds of a trial besides that.
        measured_on: what the seconds were measured on.
        device: what computes.
    """

    run_id: str
    method: str
    preset: str
    backbone: str
    weights: str
    data: str
    image_side: int
    classes: int
    smallest_class: int
    largest_class: int
    labels: int
    n_test: int
    folds: int | None
    trials: int
    finished: int
    steps: int
    shared_seconds: float
    trial_seconds: float
    measured_on: str
    device: str

    @property
    def seconds(self) -> float:
        """The estimated seconds of all trials that are not finished, one after the other."""
        left = self.trials - self.finished
        return self.shared_seconds + left * self.trial_seconds if left else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the values as plain JSON, with the estimate."""
        return {**asdict(self), "seconds": self.seconds}

    def __str__(self) -> str:
        per_class = f"{self.smallest_class}"
        if self.largest_class > self.smallest_class:
            per_class += f" to {self.largest_class}"
        tested = f"{self.n_test:,} test images"
        if self.folds is not None:
            tested += f", one of {self.folds} folds (cross-validation)"
        steps = f"{self.steps:,} training steps" if self.steps else "no training steps"
        finished = f", {self.finished} of them finished" if self.finished else ""
        shared = (
            f", after {progress.duration(self.shared_seconds)} for what they share"
            if self.shared_seconds >= 1
            else ""
        )
        lines = {
            "run": self.run_id,
            "method": f"{self.method}, preset {self.preset}",
            "backbone": f"{self.backbone}, weights {self.weights}",
            "data": f"{self.data}, {self.classes} classes, {self.image_side} pixels a side",
            "trials": f"{self.trials}{finished}",
            "each trial": f"{self.labels:,} labelled images ({per_class} per class), {tested}; "
            f"{steps}",
            "estimate": f"{progress.duration(self.seconds)} in all, "
            f"{progress.duration(self.trial_seconds)} a trial{shared} ({self.measured_on}; "
            f"{self.device}; without loading)",
        }
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


def forecast(
    values: Mapping[str, Any],
    seeds: Sequence[int],
    *,
    out: Path,
    device: str | None = None,
    threads: int | None = None,
) -> Forecast:
    """Resolve a request and estimate its time; nothing is written but the cache of images.

    Args:
        values: settings on top of the method's preset.
        seeds: the trials.
        out: folder of run folders.
        device: cpu, cuda and so on; None for a GPU if there is one.
        threads: CPU threads of each trial; None for the default.

    Raises:
        UserError: the request is wrong.
    """
    run = resolve_run(values, out, device, threads=threads)
    trained_on_test.check(run.config, run.data)
    if one_trial.trials_cannot_differ(run):
        seeds = one_trial.seeds_to_run(run, seeds)
    finished = [seed for seed in seeds if (run.trial_folder(seed) / "trial.json").exists()]
    subset = labelled_subset(run.config, run.data, seeds[0])
    counts = run.data.train.labels[subset.labelled].bincount(minlength=run.task.n_way)
    devices.use_threads(run.compute.threads)
    cost = time_estimate.of_trial(run, subset, seeds[0])
    config, whole = run.config, run.data.is_whole
    return Forecast(
        run_id=run.run_id,
        method=config.method,
        preset=config.preset or "",
        backbone=config.backbone.full_name,
        weights=config.backbone.weights,
        data=run.data.train.name,
        image_side=run.data.train.images.shape[-1],
        classes=run.task.n_way,
        smallest_class=int(counts.min()),
        largest_class=int(counts.max()),
        labels=len(subset.labelled),
        n_test=len(run.data.test) if subset.test is None else len(subset.test),
        folds=cross_validation.n_folds(config, run.data.train) if whole else None,
        trials=len(seeds),
        finished=len(finished),
        steps=cost.steps,
        shared_seconds=cost.shared,
        trial_seconds=cost.trial,
        measured_on=cost.measured_on,
        device=devices.name(run.compute.device),
    )
