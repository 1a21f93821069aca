"""One draw: a labelled subset, a training, the scores on the whole test set, and the files that keep them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from episodes.types import ImageSet
from fewshot import distributed, io
from fewshot.backbones import OWN, OWN_INPUT_SIZE
from fewshot.evaluation import metrics
from fewshot.features import frozen
from fewshot.learners.base import Learner
from fewshot.runs import fitting, provenance
from fewshot.runs.records import Cost, TrialRecord
from fewshot.runs.resolve import ResolvedRun, Tell, divided
from fewshot.training import devices, trainer

TRAIN_ACCURACY_IMAGES = 10_000
NEAR_CHANCE = 0.05


def run_trial(
    plan: ResolvedRun, seed: int, *, force: bool = False, tell: Tell = lambda text: None
) -> None:
    """Run or continue one draw; its result is its trial.json. A finished one is left as it is."""
    folder = plan.folder / f"trial-{seed}"
    if (
        distributed.rank()
    ):  # the first process holds the lock, and tells whether there is anything to do
        if distributed.agree(None):
            _train(plan, seed, folder, tell)
        return
    with FileLock(plan.folder / f".trial-{seed}.lock"):
        if force:
            shutil.rmtree(folder, ignore_errors=True)
        if not distributed.agree(not (folder / "trial.json").exists()):
            return
        io.make_folder(folder)
        for left in folder.glob(f"*{io.PART}"):  # of a killed process
            left.unlink()
        _judge(plan, seed, folder, _train(plan, seed, folder, tell), tell)


class _Trained(NamedTuple):
    """parts: the images, or their features, that train, validate and judge; feature_seconds: to find those;
    fold_seconds: of the trainings that chose the step.
    """

    learner: Learner
    fitted: trainer.Fitted
    parts: dict[str, tuple[ImageSet, Tensor]]
    budget: Tensor
    kept: Tensor
    held: Tensor | None
    feature_seconds: float
    fold_seconds: float
    parameters: int
    started: datetime
    warnings: list[str]


def _train(plan: ResolvedRun, seed: int, folder: Path, tell: Tell) -> _Trained:
    settings, data, compute = plan.config, plan.data, plan.compute
    started = datetime.now(UTC)
    torch.set_num_threads(compute.threads)
    devices.keep_freed_memory()
    budget, kept, held = divided(settings, data.train, seed)
    learner = fitting.build(plan, seed)
    parameters = sum(parameter.numel() for parameter in learner.parameters())
    if compute.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(compute.device)

    parts: dict[str, tuple[ImageSet, Tensor]] = {
        "train": (data.train, kept),
        "test": (data.test, torch.arange(len(data.test))),
    }
    if held is not None:
        parts["validation"] = (data.train, held)
    began = time.perf_counter()
    untrained = fitting.has_no_episode(plan, learner, *parts["train"])
    if frozen.fit_for(settings, learner, untrained):
        tell("features")
        mark = frozen.fingerprint(learner.backbone)
        parts = {
            name: _as_features(learner, *part, compute.device, mark) for name, part in parts.items()
        }
    feature_seconds = time.perf_counter() - began

    warnings = _shrunk(plan)
    if plan.base is None and learner.caution is not None:
        warnings.append(learner.caution)
    until, fold_seconds = 0.0 if settings.select == "start" else 1.0, 0.0
    if settings.on_folds:
        until, fold_seconds = fitting.best_share(plan, *parts["train"], seed, folder, tell)
    fitted = fitting.fit(plan, learner, parts, seed, folder, tell, warnings, until)
    seconds = (feature_seconds, fold_seconds)
    return _Trained(
        learner, fitted, parts, budget, kept, held, *seconds, parameters, started, warnings
    )


def _judge(plan: ResolvedRun, seed: int, folder: Path, trained: _Trained, tell: Tell) -> None:
    compute = plan.compute
    learner, fitted, parts, budget, kept, held = trained[:6]
    warnings = trained.warnings
    tell("classifying")
    labelled = fitting.handed(learner, *parts["train"], compute.device)
    queries = fitting.judged(learner, *parts["test"], compute.device)
    classifier, test = metrics.judge(learner, labelled, queries)
    test_scores = metrics.scores(test.logits, test.labels)
    measures = metrics.measures(learner, queries)
    warnings += _near_chance(test_scores.accuracy, plan.task.n_way)
    train_sample = (parts["train"][0], _sample(parts["train"][1]))
    train = metrics.quick(classifier, fitting.batches(learner, *train_sample, compute.device))
    predictions = {"test_logits": test.logits, "test_labels": test.labels}
    validation = None
    if held is not None:
        logits, labels = metrics.classify(
            classifier, fitting.batches(learner, *parts["validation"], compute.device)
        )
        validation = metrics.scores(logits, labels).numbers()
        predictions |= {"validation_logits": logits, "validation_labels": labels}

    drawn = {"support": kept.tolist(), "validation": None if held is None else held.tolist()}
    result = TrialRecord(
        seed=seed,
        scores=test_scores.numbers(),
        measures=measures,
        validation=validation,
        train_accuracy=train["accuracy"],
        per_class=test_scores.per_class,
        confusion=test_scores.confusion,
        steps=fitted.steps,
        best_step=fitted.best_step,
        labels=len(budget),
        indices_hash=hashlib.sha256(json.dumps(drawn).encode()).hexdigest()[:16],
        cost=Cost(
            train_seconds=trained.fold_seconds + fitted.seconds,
            adapt_seconds=trained.feature_seconds + test.adapt_seconds,
            images_per_second=fitted.images / fitted.seconds if fitted.seconds else None,
            peak_memory_mb=provenance.peak_memory_mb(compute.device),
            parameters=trained.parameters,
        ),
        provenance=provenance.of_result(
            trained.started, devices.name(compute.device), compute._asdict()
        ),
        warnings=warnings,
    )
    _keep(folder, learner, drawn, fitted, predictions, result)


def _shrunk(plan: ResolvedRun) -> list[str]:
    """A warning where one of our own networks, all for small images, sees large ones."""
    backbone, side = plan.config.backbone, plan.data.train.images.shape[-1]
    seen = backbone.input_size or OWN_INPUT_SIZE
    if backbone.name not in OWN or side < 2 * seen:
        return []
    return [
        f"backbone '{backbone.name}' sees images of {side} pixels at {seen}: one made for large images "
        "may see more (--backbone resnet18 --weights pretrained)"
    ]


def _near_chance(accuracy: float, n_way: int) -> list[str]:
    """A warning where the accuracy is below chance plus five points."""
    if accuracy >= 1 / n_way + NEAR_CHANCE:
        return []
    return [
        f"a draw's accuracy is near chance, which is {1 / n_way:.3g}: little or nothing was learned"
    ]


def _as_features(
    learner: Learner, images: ImageSet, indices: Tensor, device: str, mark: str
) -> tuple[ImageSet, Tensor]:
    """Frozen features in the images' place, from the cache where they are there."""
    found = frozen.cached(learner.backbone, images, indices, device, mark)
    return found, torch.arange(len(indices))


def _sample(indices: Tensor) -> Tensor:
    """At most 10,000 of the support, evenly spread, to tell the training accuracy from."""
    return indices[
        torch.linspace(0, len(indices) - 1, min(len(indices), TRAIN_ACCURACY_IMAGES)).long()
    ]


def _keep(
    folder: Path,
    learner: Learner,
    drawn: Mapping[str, Any],
    fitted: trainer.Fitted,
    predictions: Mapping[str, Tensor],
    result: TrialRecord,
) -> None:
    """Write the draw's files; trial.json is the last, and says that the draw is done."""
    io.write_json(folder / "indices.json", drawn)
    lines = "".join(json.dumps(row) + "\n" for row in fitted.history)
    io.write_bytes(folder / "metrics.jsonl", lines.encode())
    arrays = {name: each.numpy() for name, each in predictions.items()}
    halved = {
        name: _halved(each) if each.dtype == np.float32 else each for name, each in arrays.items()
    }
    io.write_arrays(folder / "predictions.npz", halved)
    if learner.feed is not None:
        state = {name: each.contiguous().cpu() for name, each in learner.state_dict().items()}
        io.write_bytes(folder / "model.safetensors", safetensors_bytes(state))
    io.write_json(folder / "trial.json", result.to_json())
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    for fold in folder.glob("fold-*"):
        shutil.rmtree(fold)


def _halved(logits: np.ndarray) -> np.ndarray:
    """Logits [n, n_way] in half precision; an image's that are beyond it, as those of a rate far too high, are moved.

    Their greatest becomes 0, which changes no softmax, and what is then still beyond counts as the least there is.
    """
    most = np.finfo(np.float16).max
    beyond = np.abs(logits).max(1, keepdims=True) > most
    moved = np.where(beyond, logits - logits.max(1, keepdims=True), logits)
    return moved.clip(-most, most).astype(np.float16)
