"""Evaluate a resolved run on its tasks: train if asked, compute features, count, and record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor

from episodes.rng import seeded
from fewshot import backbones, progress
from fewshot.backbones import Backbone, class_names
from fewshot.config.origins import Origin
from fewshot.evaluation import episodic, task_scores
from fewshot.evaluation.episodic import Counts
from fewshot.features import frozen
from fewshot.learners.base import Learner
from fewshot.runs import fitting, meta_training, provenance, random_weights
from fewshot.runs.episodic import naming, overlap, settings, task_sets
from fewshot.runs.episodic.given import GivenFeatures
from fewshot.runs.episodic.pool import Pool
from fewshot.runs.episodic.record import EpisodesCost, EpisodesRecord, Training
from fewshot.runs.episodic.resolve import ResolvedEpisodes
from fewshot.runs.episodic.task_sets import Tasks
from fewshot.training import devices

SEED = 0  # of initial weights that are not trained
FEWEST_TASKS = 600  # A Closer Look at Few-shot Classification and Meta-Dataset have as many


@dataclass(frozen=True)
class Prepared:
    """The network of a run, trained if the run trains.

    Attributes:
        learner: the learner; None for a head without a training, or given features.
        backbone: the network; None for given features.
        training: how the learner was trained; None without a training.
    """

    learner: Learner | None
    backbone: Backbone | None
    training: Training | None


def evaluate(run: ResolvedEpisodes, tasks: Tasks, apart: Tasks) -> EpisodesRecord:
    """Return the record of a run.

    Args:
        run: the resolved run; its folder exists.
        tasks: the tasks of the evaluation.
        apart: tasks of which no two have an image in common; empty for none.

    Raises:
        Diverged: a loss or a logit is not finite.
        Interrupted: the training was interrupted; the same call resumes it.
    """
    started = datetime.now(UTC)
    devices.set_up_process(run.compute)
    prepared = _prepare(run)
    counts, feature_seconds = _counts(run, prepared, (*tasks, *apart))
    n_tasks = sum(map(len, tasks))
    correct, again = counts.correct[:n_tasks].tolist(), counts.correct[n_tasks:].tolist()
    n_queries = counts.n_queries[:n_tasks].tolist()
    apart_queries = counts.n_queries[n_tasks:].tolist()
    uniform = len(set(n_queries)) == 1
    trained = prepared.training
    return EpisodesRecord(
        run_id=run.run_id,
        method=run.method.name,
        name=naming.system(run.config, run.method, tuple(base.name for base in run.bases)),
        transductive=run.method.transductive,
        preset=run.config.preset or "",
        backbone=run.config.backbone.full_name,
        weights="" if isinstance(run.pool, GivenFeatures) else run.config.backbone.weights,
        data=run.pool.name,
        data_notes=list(run.pool.notes),
        split=_name(run.config.split),
        part=run.config.part,
        classes=list(run.pool.classes),
        n_images=len(run.pool),
        tasks=run.config.tasks.model_copy(update={"file": _name(run.config.tasks.file)}),
        tasks_hash=task_sets.fingerprint(tasks),
        correct=correct,
        n_queries=n_queries[0] if uniform else n_queries,
        accuracy=task_scores.over_tasks(correct, n_queries),
        without_replacement=task_scores.over_tasks(again, apart_queries) if again else None,
        without_replacement_correct=again,
        training=trained,
        cost=EpisodesCost(
            evaluation_seconds=counts.seconds,
            feature_seconds=feature_seconds,
            train_seconds=0.0 if trained is None else trained.seconds,
            peak_memory_mb=provenance.peak_memory_mb(run.compute.device),
            parameters=_n_parameters(prepared),
        ),
        provenance=replace(
            provenance.of_result(
                started, devices.name(run.compute.device), run.compute, _origins(run)
            ),
            data_fingerprint=run.pool.identity,
        ),
        warnings=_warnings(run, prepared, n_tasks),
        config=_public_config(run),
    )


def _origins(run: ResolvedEpisodes) -> tuple[Origin, ...]:
    """Return where the weights come from; given features say nothing about theirs."""
    if isinstance(run.pool, GivenFeatures):
        return ()
    return backbones.origins(run.config.backbone)


def _prepare(run: ResolvedEpisodes) -> Prepared:
    """Build the network and train it, or take the trained weights from the cache."""
    if isinstance(run.pool, GivenFeatures):
        return Prepared(None, None, None)
    if run.method.learner is None and not run.trained:
        with seeded(SEED, "initialise"):
            backbone = backbones.build(run.config.backbone).to(run.compute.device)
        backbone.set_compute(run.compute.precision, run.compute.channels_last)
        return Prepared(None, backbone.eval(), None)
    building = run.training()
    learner = building.build_learner(SEED)
    if not run.trained:
        return Prepared(learner, learner.backbone, None)
    done = meta_training.apply(building, learner)
    step = done.best_step or done.steps
    points = [point for point in done.history if point["step"] == step]
    training = Training(
        method=done.method,
        base=[base.name for base in run.bases],
        n_classes=done.n_classes,
        n_images=done.n_images,
        seed=done.seed,
        steps=done.steps,
        best_step=done.best_step,
        seconds=done.seconds,
        val_accuracy=points[-1].get("validation_accuracy") if points else None,
    )
    return Prepared(learner, learner.backbone, training)


def _counts(run: ResolvedEpisodes, prepared: Prepared, tasks: Tasks) -> tuple[Counts, float | None]:
    """Return the counts of all tasks, and the seconds of the features."""
    device, pool, learner = run.compute.device, run.pool, prepared.learner
    uses_head = run.method.head_type is not None
    if learner is not None and not uses_head and learner.needs.images:
        assert isinstance(pool, Pool)
        images = pool
        return episodic.of_images(
            learner, lambda some: images.load(some, device), tasks, device
        ), 0.0
    features, seconds = _features(pool, prepared.backbone, device)
    if run.method.head_type is None:
        assert learner is not None
        return episodic.of_learner(learner, features, tasks), seconds
    centre, more = _base_mean(run, prepared.backbone)
    seconds = frozen.total_seconds([seconds, more])
    head = run.method.head_type(run.method.head_type.options_type(**run.config.head))
    return episodic.of_head(head, features, tasks, centre), seconds


def _features(
    pool: Pool | GivenFeatures, backbone: Backbone | None, device: str
) -> tuple[Tensor, float | None]:
    if isinstance(pool, GivenFeatures):
        return pool.features_ND.to(device), 0.0
    assert backbone is not None
    progress.update(f"features of {len(pool):,} images of {pool.name}")
    features, seconds = pool.features(backbone, device)
    return features.to(device), seconds


def _base_mean(
    run: ResolvedEpisodes, backbone: Backbone | None
) -> tuple[Tensor | None, float | None]:
    """Return the mean feature of all images of the base classes, and the seconds of it."""
    device = run.compute.device
    if isinstance(run.pool, GivenFeatures):
        mean = run.pool.base_mean_D
        return None if mean is None else mean.to(device), 0.0
    if not run.bases or run.config.head.get("features") != "CL2N":
        return None, 0.0
    assert backbone is not None
    sums, n_images = torch.zeros(backbone.n_features, dtype=torch.float64), 0
    all_seconds: list[float | None] = []
    for base in run.bases:
        progress.update(f"features of {len(base):,} images of {base.name}")
        features, seconds = base.features(backbone, device)
        sums += features.sum(0, dtype=torch.float64)
        n_images += len(base)
        all_seconds.append(seconds)
    return (sums / n_images).float().to(device), frozen.total_seconds(all_seconds)


def _n_parameters(prepared: Prepared) -> int:
    network = prepared.learner or prepared.backbone
    return 0 if network is None else sum(one.numel() for one in network.parameters())


def _warnings(run: ResolvedEpisodes, prepared: Prepared, n_tasks: int) -> list[str]:
    """Return sentences that a reader of the accuracy must know."""
    warnings = []
    if n_tasks < FEWEST_TASKS and run.config.tasks.sampler != "superclasses":
        warnings.append(
            f"{n_tasks} tasks are few: papers report at least {FEWEST_TASKS}, so the interval "
            "is wide"
        )
    if isinstance(run.pool, GivenFeatures):
        return warnings
    if prepared.backbone is not None:
        trained = prepared.learner if run.trained else None
        remark = random_weights.remark(run.config, prepared.backbone, trained)
        warnings += [remark] if remark else []
    known = [(f"backbone '{run.config.backbone.full_name}' was pretrained", _pretraining(prepared))]
    if run.trained:
        for base in run.bases:
            names = class_names.of_data(base.name, base.classes)
            known.append((f"the {run.method.trains} was meta-trained", names))
    if run.config.base and isinstance(run.pool, Pool):
        notes = [overlap.note(run.pool, base) for base in run.bases]
        warnings += [note for note in notes if note]
    for use, classes in known:
        if classes is not None:
            note = class_names.overlap_note(use, classes, run.pool.name, run.pool.classes)
            warnings += [note] if note else []
    if run.trained and prepared.learner is not None:
        learner = settings.of_learner(run.config, run.method)
        warnings += fitting.warnings_of_batch_norm(learner, prepared.learner)
    if run.val is not None and run.config.part == "val":
        warnings.append("tasks of the val classes also chose the step of the training")
    return warnings


def _pretraining(prepared: Prepared) -> class_names.ClassNames | None:
    return None if prepared.backbone is None else prepared.backbone.pretraining


def _public_config(run: ResolvedEpisodes) -> dict[str, Any]:
    """Return the configuration with data and files by name, not by path."""
    values = run.config.model_dump(mode="json", exclude={"precision"})
    values["data"] = run.pool.name
    values["split"] = _name(run.config.split)
    if run.config.base:
        values["base"] = [base.name for base in run.bases]
    values["tasks"]["file"] = _name(run.config.tasks.file)
    return values


def _name(path: str | None) -> str | None:
    """Return the last part of a path; a name or `seed:S:A/B/C` stays as it is."""
    if path is None or path.startswith("seed:"):
        return path
    return path.replace("\\", "/").rsplit("/", 1)[-1]
