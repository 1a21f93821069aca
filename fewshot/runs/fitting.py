"""The training of a trial: its initialisation, its validation, and when it stops."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from episodes import streams, subsets
from episodes.rng import generator, seeded
from episodes.types import ImageSet
from fewshot import distributed, io, progress
from fewshot.backbones import Backbone
from fewshot.config import MethodConfig
from fewshot.evaluation import low_data, metrics
from fewshot.features import frozen
from fewshot.heads.calibration import Calibration
from fewshot.learners.base import Learner
from fewshot.runs import held_out, training_stream, trial_data
from fewshot.runs.held_out import HeldOut
from fewshot.runs.resolve import ResolvedRun
from fewshot.runs.training_run import TrainingRun
from fewshot.runs.trial_data import Part, TrialData
from fewshot.training import curves, trainer
from fewshot.training.checkpoint import Checkpoint

FOLDS = 5
LONG = 10.0  # seconds left that are worth saying
INITIAL_IMAGES = 5000  # at most, from which a backbone with random weights is initialised


@dataclass(frozen=True)
class Trained:
    """What the training of a trial did.

    Args:
        fit: steps, seconds and history.
        fold_seconds: seconds of the trainings on folds that chose the number of steps.
        until: share of the steps after which the training stopped.
        held_out: predictions out of fold after as many steps, if folds chose all steps.
        warnings: sentences for the record.
        meta_train_seconds: seconds of the meta-training that all trials share; None without one.
    """

    fit: trainer.Fitted
    fold_seconds: float = 0.0
    until: float = 1.0
    held_out: HeldOut | None = None
    warnings: list[str] = field(default_factory=list)
    meta_train_seconds: float | None = None


def train(run: ResolvedRun, learner: Learner, data: TrialData, seed: int, folder: Path) -> Trained:
    """Train the learner of a trial in place, and resume from a checkpoint in the folder.

    A learner without training, or without a single training episode, stays as it is, and so does
    one that was meta-trained before.
    """
    warnings = _warnings_of_episodes(run, learner, data.train)
    if not trial_data.trains(run, learner, data.train):
        return Trained(trainer.Fitted([], 0, 0.0, 0, None), warnings=warnings)
    until, fold_seconds = 0.0 if run.config.select == "start" else 1.0, 0.0
    out_of_fold = None
    if run.config.on_folds:
        until, fold_seconds = best_share(run, data.train, seed, folder)
        if until == 1:
            folds = sorted(folder.glob("fold-*"))
            out_of_fold = held_out.joined([held_out.read(fold) for fold in folds])
    warnings += warnings_of_batch_norm(run.config, learner)
    fit = fit_learner(run, learner, data, seed, folder, until=until)
    return Trained(fit, fold_seconds, until, out_of_fold, warnings)


def _warnings_of_episodes(run: ResolvedRun, learner: Learner, train: Part) -> list[str]:
    if run.config.train is None or learner.feed != "episodes" or run.bases:
        return []
    single = train.n_way - trial_data.episode_ways(train)
    if not single:
        return []
    untrained = not trial_data.trains(run, learner, train)
    return [
        f"{single} of {train.n_way} classes have one image and are in no training episode"
        + (": the features stay as they were" if untrained else "")
    ]


def warnings_of_batch_norm(config: MethodConfig, learner: Learner) -> list[str]:
    """Return a warning if the training holds batch norm at statistics of random weights."""
    assert config.train is not None
    if config.backbone.weights != "none":
        return []
    norms = [frozen.batch_norms(learner, phase.trainable) for phase in config.train.phases]
    if not any(phase.held for phase in norms):
        return []
    return [
        "batch norm is held at its initial statistics on random weights, so nothing is normalised"
    ]


class Share(NamedTuple):
    """A share of the steps of a training, and the seconds that it took to choose it."""

    until: float
    seconds: float


def best_share(run: ResolvedRun, train: Part, seed: int, folder: Path) -> Share:
    """Choose the share of the steps after which the mean validation loss over folds is least.

    Each fold of the support set is left out once and validates. The loss is taken at its best
    temperature: a head that starts as a regularised probe becomes more confident for many steps
    without separating the classes any better. The share may be 0, and the learner then stays as it
    was initialised. The history of a finished fold stays in the folder until the trial is done.
    """
    assert run.config.train is not None
    if run.config.select == "support_cv_ends":
        settings = run.config.train.model_copy(update={"log_every_epochs": math.inf})
        run = replace(run, config=run.config.model_copy(update={"train": settings}))
    most = min(FOLDS, int(train.labels.bincount().min()))
    folds = subsets.folds(train.labels, most, 0, train.clusters)
    n_folds = len(folds)
    histories: list[list[trainer.LogPoint]] = []
    seconds, started = 0.0, time.perf_counter()
    for number, (inside, outside) in enumerate(folds):
        left = ""
        if histories:  # and the training after those on folds
            expected = (time.perf_counter() - started) / number * (n_folds + 1 - number)
            left = f" ({progress.duration(expected)} left in this trial)"
            left = left if expected >= LONG else ""
        file = folder / f"fold-{number}" / "history.json"
        if not file.exists():
            io.make_folder(file.parent)
            part, rest = train.select(inside), train.select(outside)
            fold, learner = TrialData(part, rest, test=train), run.build_learner(seed)
            with progress.within(f"fold {number + 1}/{n_folds}{left}"):
                fit = fit_learner(run, learner, fold, seed, file.parent, evaluate_start=True)
            held_out.predict(run, learner, part, rest, trained=True).write(file.parent)
            io.write_json(file, {"history": fit.history, "seconds": fit.seconds})
        content = io.read_json(file)
        histories.append(content["history"])
        seconds += content["seconds"]
    n_points = min(map(len, histories))  # folds may differ by a log point if sizes differ
    losses = [
        np.mean([history[point]["validation_loss"] for history in histories])
        for point in range(n_points)
    ]
    first = histories[0]
    return Share(first[int(np.argmin(losses))]["step"] / first[-1]["step"], seconds)


def fit_learner(
    run: ResolvedRun,
    learner: Learner,
    data: TrialData,
    seed: int,
    folder: Path,
    *,
    until: float = 1.0,
    evaluate_start: bool = False,
) -> trainer.Fitted:
    """Initialise the learner from its training images, unless it resumes, and train it.

    Args:
        run: the resolved run.
        learner: the learner, on its device.
        data: training images, and a validation set if there is one.
        seed: seed of the trial.
        folder: folder of the checkpoint and the log.
        until: share of the steps after which to stop; the schedule is that of all steps.
        evaluate_start: validate before the first step as well, at the best temperature.
    """
    at_start = None
    if evaluate_start:
        at_start = _validation(run, learner, data, at_best_temperature=True, trained=False)
    return fit_part(
        run,
        learner,
        data.train,
        seed,
        folder,
        validate=_validation(run, learner, data, evaluate_start, trained=True),
        keep_best=run.config.select == "holdout",
        evaluate_start=at_start,
        until=until,
    )


def fit_part(
    run: TrainingRun,
    learner: Learner,
    train: Part,
    seed: int,
    folder: Path,
    *,
    validate: trainer.Validate | None = None,
    monitor: Literal["loss", "accuracy"] = "loss",
    keep_best: bool = False,
    evaluate_start: trainer.Validate | None = None,
    until: float = 1.0,
) -> trainer.Fitted:
    """Initialise the learner from training images, unless it resumes, and train it on them.

    Args:
        run: the run of either regime.
        learner: the learner, on its device.
        train: the training images.
        seed: seed of the training.
        folder: folder of the checkpoint and the log.
        validate: evaluates a model at a log point; None without a validation set.
        monitor, keep_best, evaluate_start, until: as for `trainer.fit`.
    """
    config = run.config
    assert config.train is not None
    checkpoint = folder / "checkpoint.pt"
    resumes = Checkpoint.read(checkpoint, torch.device(run.compute.device)) is not None
    if not resumes:
        _initialise(run, learner, train, seed)
    stream, steps_per_epoch = training_stream.of_run(run, learner, train, seed)
    rank = [distributed.rank()] if distributed.rank() else []
    curve = curves.of_training(_curve(run, folder, seed), resumes=resumes)
    with curve as on_point, seeded(seed, "fit", *rank):
        log = _Log(folder / "metrics.jsonl", on_point)
        fit = trainer.fit(
            learner,
            stream,
            config.train,
            steps_per_epoch,
            validate=validate,
            monitor=monitor,
            keep_best=keep_best,
            evaluate_start=evaluate_start,
            until=until,
            checkpoint=checkpoint,
            on_log=log,
            on_step=log.on_step,
        )
    learner.on_train_end()
    return fit


def _curve(run: TrainingRun, folder: Path, seed: int) -> curves.Training:
    """Return what the curve of a training says of it."""
    is_of_run = folder.is_relative_to(run.folder)  # a meta-training is in the cache
    name = folder.relative_to(run.folder).as_posix() if is_of_run else "meta-training"
    settings = {"method": run.config.method, "backbone": run.config.backbone.full_name}
    return curves.Training(run.folder, name, {**settings, "seed": seed})


def _initialise(run: TrainingRun, learner: Learner, train: Part, seed: int) -> None:
    """Initialise random backbones from training images, and the learner from the support set."""
    device = run.compute.device
    if run.config.backbone.weights == "none" and isinstance(train.source, ImageSet):
        order = torch.randperm(len(train.indices), generator=generator(seed, "begin"))
        indices = train.indices[order[:INITIAL_IMAGES]]
        images = streams.labelled(train.source, indices, device).images
        for module in learner.modules():  # the learner's backbone, and a small one beside it
            if isinstance(module, Backbone):
                module.initialise(images)
    if learner.prepares:
        learner.eval()
        learner.prepare(streams.labelled(train.source, train.indices, device))


def _validation(
    run: ResolvedRun,
    learner: Learner,
    data: TrialData,
    at_best_temperature: bool,
    *,
    trained: bool,
) -> trainer.Validate | None:
    """Return the function that evaluates a model at a log point; None without a validation set."""
    validation, device = data.validation, run.compute.device
    if validation is None:
        return None
    support = trial_data.support_for_adapt(learner, data.train, device)
    prior = Calibration(held_out.shift(run, learner, data.train, trained=trained))
    weights = held_out.image_weights(run, data.train, validation.labels)

    @torch.no_grad()
    def validate(model: Any) -> dict[str, float]:
        batches = trial_data.batches(learner, validation, device)
        logits, labels = low_data.classify(prior.shifted(model.adapt(support)), batches)
        if at_best_temperature:
            return metrics.loss_at_best_temperature(logits, labels, weights)
        return metrics.loss_and_accuracy(logits, labels, weights)

    return validate


class _Log:
    """Append log points to a file, send them on, and report the progress with the time left."""

    def __init__(self, path: Path, on_point: curves.OnPoint) -> None:
        self.path, self.on_point, self.values = path, on_point, ""
        self.first: tuple[int, float] | None = None  # a step, and the second of its end
        self.shown_at = float("-inf")

    def __call__(self, row: trainer.LogPoint, total_steps: int) -> None:
        self.values = f", loss {row['train_loss']:.3f}"
        if "validation_accuracy" in row:
            self.values += f", validation {row['validation_accuracy']:.3f}"
        self._show(row["step"], total_steps)
        io.append_line(self.path, row)
        self.on_point(row)

    def on_step(self, step: int, last_step: int) -> None:
        """Report a step, unless something was reported a moment ago."""
        if time.perf_counter() - self.shown_at >= progress.SHOW_EVERY:
            self._show(step, last_step)

    def _show(self, step: int, last_step: int) -> None:
        now = time.perf_counter()
        self.shown_at, text = now, f"step {step}/{last_step}{self.values}"
        if self.first is None:
            self.first = step, now
        elif step > self.first[0]:
            first_step, started = self.first
            seconds = (now - started) / (step - first_step) * (last_step - step)
            text += f", {progress.duration(seconds)} left" if seconds >= LONG else ""
        progress.update(text)
