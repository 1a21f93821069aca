"""How long a trial takes: as finished trials of its run did, or as a few images and steps show.

Calibration and classification are counted by their share of the same work, so the estimate is
rough: it is meant to separate seconds, minutes and hours.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from episodes import streams, subsets
from episodes.types import FeatureSet
from fewshot import io
from fewshot.config import FEW_LABELS, Train
from fewshot.evaluation import low_data
from fewshot.features import frozen
from fewshot.learners.base import Learner
from fewshot.runs import base_sets, calibrating, fitting, one_trial, training_stream, trial_data
from fewshot.runs.labelled_subset import LabelledSubset
from fewshot.runs.resolve import ResolvedRun
from fewshot.runs.trial_data import Part
from fewshot.runs.trial_record import TrialRecord
from fewshot.training import trainer

MEASURED_IMAGES = 128  # that go through the backbone
MEASURED_SECONDS = 5.0  # of training steps, after the first
SPREAD_OF_COPIES = 0.3  # of the standard deviation of features
MOST_STEPS = 20  # that are measured


@dataclass(frozen=True)
class Cost:
    """What a trial costs.

    Args:
        steps: optimiser steps of a trial, those on folds included; 0 if it trains nothing.
        shared: seconds of what all trials share: features, or a meta-training.
        trial: seconds of a trial besides that.
        measured_on: what the seconds were measured on.
    """

    steps: int
    shared: float
    trial: float
    measured_on: str


def of_trial(run: ResolvedRun, subset: LabelledSubset, seed: int) -> Cost:
    """Return what a trial costs.

    Args:
        run: the resolved run.
        subset: labelled subset of the trial.
        seed: the trial.
    """
    learner, train = run.build_learner(seed), Part(run.data.train, subset.train)
    steps = _steps(run, learner, train, seed)
    finished = one_trial.finished_trials(run.folder)
    if finished:
        seconds = [_elapsed(path) for path in finished]
        return Cost(steps, 0.0, sum(seconds) / len(seconds), "as the finished trials took")
    n_test = len(run.data.test) if subset.test is None else len(subset.test)
    if trial_data.works_on_features(run, learner, train):
        return _of_features(run, learner, train, n_test, steps, seed)
    per_image = _sample(run, learner).seconds
    # The support set and a sample for the training accuracy go through the backbone once each.
    images = n_test + min(len(train.indices), 10_000)
    step = _seconds_per_step(run, learner, train, seed) if steps or run.bases else 0.0
    shared, words = 0.0, f"{MEASURED_IMAGES} images"
    if run.bases:
        shared, steps = step * _steps_on_bases(run, learner, seed), 0
    if step:
        words = "a few training steps"
    return Cost(steps, shared, per_image * images + step * steps, f"measured on {words}")


def _elapsed(path: Path) -> float:
    """Return the seconds from the start to the end of a finished trial."""
    trial = io.read_as(path, TrialRecord.from_json)
    times = trial.provenance.started, trial.provenance.finished  # in whole seconds
    started, ended = map(datetime.fromisoformat, times)
    return max((ended - started).total_seconds(), trial.cost.seconds or 0.0)


def _steps(run: ResolvedRun, learner: Learner, train: Part, seed: int) -> int:
    """Return the optimiser steps of a trial: its training, those on folds, that to calibrate."""
    settings, config = run.config.train, run.config
    if settings is None or not trial_data.trains(run, learner, train):
        return 0
    _, per_epoch = training_stream.of_run(run, learner, train, seed)
    steps = settings.total_steps(per_epoch)
    by_class = train.labels.bincount(minlength=train.n_way)
    smallest, largest = int(by_class.min()), int(by_class.max())
    n_trainings = 0 if config.select == "start" else 1
    if config.on_folds:
        n_trainings += min(fitting.FOLDS, smallest)
    few = len(train.indices) <= FEW_LABELS * train.n_way
    calibrates = config.calibration != "none" and config.validation is None
    if calibrates and not config.on_folds and few and largest > 1:
        n_trainings += 1
    return steps * n_trainings


def _steps_on_bases(run: ResolvedRun, learner: Learner, seed: int) -> int:
    """Return the optimiser steps of a meta-training."""
    assert run.config.train is not None
    return run.config.train.total_steps(training_stream.of_run(run, learner, _base(run), seed)[1])


def _base(run: ResolvedRun) -> Part:
    base = base_sets.union(run.bases)
    return Part(base, torch.arange(len(base)))


class _Sample(NamedTuple):
    """Features of a few images [m, d], their labels [m], and the seconds that each took."""

    features: Tensor
    labels: Tensor
    seconds: float


@torch.no_grad()
def _sample(run: ResolvedRun, learner: Learner) -> _Sample:
    """Put at most MEASURED_IMAGES images, evenly spread, through the backbone with its views."""
    images, n = run.data.train, len(run.data.train)
    indices = torch.linspace(0, n - 1, min(n, MEASURED_IMAGES)).long()
    # The first images take longer.
    learner.eval().backbone(streams.labelled(images, indices[:2], run.compute.device).images)
    started = time.perf_counter()
    features = frozen.extract(learner.backbone, images, indices, run.compute.device)
    seconds = (time.perf_counter() - started) / len(indices)
    return _Sample(features, images.labels[indices], seconds)


def _of_features(
    run: ResolvedRun, learner: Learner, train: Part, n_test: int, steps: int, seed: int
) -> Cost:
    """Return the cost of a learner on frozen features, of which some may be in the cache."""
    data, device = run.data, run.compute.device
    everything = torch.arange(len(data.train))
    used = (
        train.indices if not data.is_whole and one_trial.trials_cannot_differ(run) else everything
    )
    missing = frozen.n_missing(learner.backbone, data.train, used, device)
    if not data.is_whole:
        tested = torch.arange(n_test)
        missing += frozen.n_missing(learner.backbone, data.test, tested, device)
    features, labels, per_image = _sample(run, learner)
    support = _resembling(features, labels, train)
    if steps:
        seconds = steps * _seconds_per_step(run, learner, support, seed)
    else:
        labelled = trial_data.support_for_adapt(learner, support, device)
        low_data.adapt(learner, labelled)  # the first also imports what it needs
        started = time.perf_counter()
        low_data.adapt(learner, labelled)
        n_fits = 1
        if run.config.calibration != "none" and run.config.validation is None:
            largest = int(train.labels.bincount(minlength=train.n_way).max())
            n_fits += min(calibrating.FOLDS, largest)
        seconds = n_fits * (time.perf_counter() - started)
    words = f"measured on {len(features)} images"
    if run.config.backbone.weights == "none":  # each trial has a network of its own
        return Cost(steps, 0.0, seconds + per_image * (len(train.indices) + n_test), words)
    return Cost(steps, per_image * missing, seconds, words)


def _resembling(features: Tensor, labels: Tensor, train: Part) -> Part:
    """Return a part with as many features of each class as a part has images.

    Args:
        features: of a few images, float [m, d].
        labels: their classes, int64 [m].
        train: the part.
    """
    by_class = subsets.by_class(labels, train.n_way)
    rows = torch.empty(len(train.indices), dtype=torch.int64)
    is_copy = torch.zeros(len(rows), 1)
    for label, own in enumerate(by_class):
        is_own = train.labels == label
        of_class = own if len(own) else torch.arange(len(features))
        places = torch.arange(int(is_own.sum()))
        rows[is_own] = of_class[places % len(of_class)]
        is_copy[is_own] = (places >= len(of_class)).float()[:, None]
    spread = SPREAD_OF_COPIES * features.std(0, correction=0)
    noise = torch.randn(len(rows), features.shape[1], generator=torch.Generator().manual_seed(0))
    alike = frozen.as_features(features[rows] + is_copy * spread * noise)
    return Part(FeatureSet(alike, train.labels, train.source.classes), torch.arange(len(rows)))


def _seconds_per_step(run: ResolvedRun, learner: Learner, train: Part, seed: int) -> float:
    """Return the seconds of an optimiser step, from a second training of a few steps."""
    settings = run.config.train
    assert settings is not None
    part = _base(run) if run.bases else train

    def seconds_of(n_steps: int) -> float:
        changes = {"steps": n_steps, "epochs": None, "early_stopping": None}
        short: Train = settings.model_copy(update=changes)
        config = run.config.model_copy(update={"train": short})
        stream, per_epoch = training_stream.of_run(replace(run, config=config), learner, part, seed)
        return trainer.fit(learner, stream, short, per_epoch).seconds / n_steps

    first = seconds_of(1)
    n_steps = min(MOST_STEPS, int(MEASURED_SECONDS / first)) if first else MOST_STEPS
    return seconds_of(n_steps) if n_steps > 1 else first
