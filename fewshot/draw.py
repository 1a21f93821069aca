"""One draw: a labelled subset, a training, the scores on the whole test set, and the files that keep them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from episodes import augment, splits, streams
from episodes.rng import seeded
from episodes.types import ImageSet, Labelled
from fewshot import devices, evaluation, features, provenance, records, trainer
from fewshot.backbones import OWN, OWN_INPUT_SIZE, chunk_size
from fewshot.config import RunConfig
from fewshot.plan import Plan, Tell, build_learner, support

TRAIN_ACCURACY_IMAGES = 10_000
FOLDS = 5
NEAR_CHANCE = 0.05
FEATURE_ROWS = 4096  # rows of features that are classified at once


def draw(plan: Plan, seed: int, *, force: bool = False, tell: Tell = lambda text: None) -> dict[str, Any]:
    """Run, continue or take one draw; what is returned is its draw.json."""
    folder = plan.folder / f"draw-{seed}"
    with FileLock(plan.folder / f".draw-{seed}.lock"):
        if force:
            shutil.rmtree(folder, ignore_errors=True)
        if (folder / "draw.json").exists():
            return records.read_json(folder / "draw.json")
        records.make_folder(folder)
        for left in folder.glob(f"*{records.PART}"):  # of a killed process
            left.unlink()
        torch.set_num_threads(plan.compute.threads)
        devices.keep_freed_memory()
        return _draw(plan, seed, folder, tell)


def _draw(plan: Plan, seed: int, folder: Path, tell: Tell) -> dict[str, Any]:
    settings, data, compute = plan.config, plan.data, plan.compute
    started = datetime.now(UTC)
    budget = support(settings, data.train, seed)
    kept, held = budget, None
    if settings.validation is not None:
        inside, outside = splits.hold_out(
            data.train.labels[budget], settings.validation.share, settings.validation.split_seed
        )
        kept, held = budget[inside], budget[outside]
    learner = _learner(plan, seed)
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
    untrained = _has_no_episode(plan, learner, *parts["train"])
    if features.fit_for(settings, learner, untrained):
        tell("features")
        mark = features.fingerprint(learner.backbone)  # type: ignore[arg-type]
        parts = {name: _as_features(learner, *part, compute.device, mark) for name, part in parts.items()}
    feature_seconds = time.perf_counter() - began

    warnings = _shrunk(plan)
    if plan.base is None and hasattr(learner, "caution"):
        warnings.append(learner.caution)  # type: ignore[arg-type]
    until = _best_share(plan, *parts["train"], seed, folder, tell) if settings.select == "support_cv" else 1.0
    fitted = _fit(plan, learner, parts, seed, folder, tell, warnings, until)
    tell("classifying")
    labelled = _support(learner, *parts["train"], compute.device)
    classifier, test = evaluation.judge(learner, labelled, _batches(learner, *parts["test"], compute.device))
    test_scores = evaluation.scores(test.logits, test.labels)
    measures = evaluation.measures(learner, _batches(learner, *parts["test"], compute.device))
    warnings += _near_chance(test_scores.accuracy, plan.task.n_way)
    train_sample = (parts["train"][0], _sample(parts["train"][1]))
    train = evaluation.quick(classifier, _batches(learner, *train_sample, compute.device))
    predictions = {"test_logits": test.logits, "test_labels": test.labels}
    validation = None
    if held is not None:
        logits, labels = evaluation.classify(classifier, _batches(learner, *parts["validation"], compute.device))
        validation = evaluation.scores(logits, labels).numbers()
        predictions |= {"validation_logits": logits, "validation_labels": labels}

    drawn = {"support": kept.tolist(), "validation": None if held is None else held.tolist()}
    result = {
        "seed": seed,
        "scores": test_scores.numbers(),
        "measures": measures,
        "validation": validation,
        "train_accuracy": train["accuracy"],
        "per_class": test_scores.per_class,
        "confusion": test_scores.confusion,
        "steps": fitted.steps,
        "best_step": fitted.best_step,
        "labels": len(budget),
        "indices_hash": hashlib.sha256(json.dumps(drawn).encode()).hexdigest()[:16],
        "cost": {
            "train_seconds": fitted.seconds,
            "adapt_seconds": feature_seconds + test.adapt_seconds,
            "images_per_second": fitted.images / fitted.seconds if fitted.seconds else None,
            "peak_memory_mb": provenance.peak_memory_mb(compute.device),
            "parameters": parameters,
        },
        "provenance": {
            **provenance.source(),
            "versions": provenance.versions(),
            "device": devices.name(compute.device),
            "compute": compute._asdict(),
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "warnings": warnings,
    }
    _keep(folder, learner, drawn, fitted, predictions, result)
    return result


def _shrunk(plan: Plan) -> list[str]:
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
    return [f"a draw's accuracy is near chance, which is {1 / n_way:.3g}: little or nothing was learned"]


def _learner(plan: Plan, seed: int) -> nn.Module:
    learner = build_learner(plan.config, plan.task, seed).to(plan.compute.device)
    learner.backbone.set_compute(plan.compute.precision, plan.compute.channels_last)  # type: ignore[union-attr,operator]
    return learner


def _best_share(plan: Plan, train: ImageSet, kept: Tensor, seed: int, folder: Path, tell: Tell) -> float:
    """The share of the training after which the loss, averaged over what each fold of the support leaves out, is least.

    It may be 0: then the learner is best as it starts. A finished fold is kept beside the draw's other files until the
    draw is done.
    """
    labels, curves = train.labels[kept], []
    for number, (inside, outside) in enumerate(splits.folds(labels, min(FOLDS, int(labels.bincount().min())), 0)):
        place = folder / f"fold-{number}"
        if not (place / "history.json").exists():
            records.make_folder(place)
            parts = {"train": (train, kept[inside]), "validation": (train, kept[outside])}
            fitted = _fit(plan, _learner(plan, seed), parts, seed, place, tell, [], judge_start=True)
            records.write_json(place / "history.json", fitted.history)
        curves.append(records.read_json(place / "history.json"))
    points = min(map(len, curves))  # folds may differ by a step where the classes do not divide
    losses = [np.mean([curve[point]["validation_loss"] for curve in curves]) for point in range(points)]
    best = int(np.argmin(losses))
    return curves[0][best]["step"] / curves[0][-1]["step"]


def _fit(
    plan: Plan,
    learner: nn.Module,
    parts: Mapping[str, tuple[ImageSet, Tensor]],
    seed: int,
    folder: Path,
    tell: Tell,
    warnings: list[str],
    until: float = 1.0,
    judge_start: bool = False,
) -> trainer.Fitted:
    """Train the learner where it has a feed; what the record must warn of is added to `warnings`."""
    settings, device = plan.config, plan.compute.device
    images, kept = parts["train"]
    if settings.train is not None and learner.feed == "episodes" and plan.base is None:
        alone = len(images.classes) - _ways(images, kept)
        if alone:
            warnings.append(
                f"{alone} of {len(images.classes)} classes have one image and are in no training episode"
                + (": the features stay as they were" if _has_no_episode(plan, learner, images, kept) else "")
            )
    if settings.train is None or _has_no_episode(plan, learner, images, kept):
        return trainer.Fitted([], 0, 0.0, 0, None)
    if hasattr(learner, "prepare") and not (folder / "checkpoint.pt").exists():
        learner.eval()
        learner.prepare(streams.labelled(images, kept, device))  # type: ignore[operator]
    phases = settings.train.phases
    if settings.backbone.weights == "none" and any(features.batch_norms(learner, each.trainable)[1] for each in phases):
        warnings.append("batch norm is held at its initial statistics on random weights, so nothing is normalised")
    if plan.base is None:
        pool, ways = streams.pool(images, kept, device), _ways(images, kept)
    else:
        pool, ways = streams.pool(plan.base, torch.arange(len(plan.base)), device), len(images.classes)
    stream, steps_per_epoch = _stream(settings, learner, pool, ways, seed)
    validate = None
    if "validation" in parts:
        labelled = _support(learner, images, kept, device)

        @torch.no_grad()
        def validate(model: nn.Module) -> dict[str, float]:
            classifier = model.adapt(labelled)  # type: ignore[operator]
            return evaluation.quick(classifier, _batches(learner, *parts["validation"], device))

    first: list[tuple[float, float]] = []  # step and second of this session's first log point

    def on_log(row: dict[str, float], total: int) -> None:
        judged = f", validation {row['validation_accuracy']:.3f}" if "validation_accuracy" in row else ""
        left = _left(first[0], row["step"], total) if first else ""
        first[:] = first or [(row["step"], time.perf_counter())]
        tell(f"step {row['step']}/{total}, loss {row['train_loss']:.3f}{judged}{left}")
        records.append_line(folder / "metrics.jsonl", row)

    with seeded(seed, "fit"):
        return trainer.fit(
            learner,
            stream,
            settings.train,
            steps_per_epoch,
            validate=validate,
            keep_best=settings.select == "holdout",
            judge_start=judge_start,
            until=until,
            checkpoint=folder / "checkpoint.pt",
            on_log=on_log,
        )


def _left(first: tuple[float, float], step: float, total: int) -> str:
    """How long the rest takes at the speed since `first`, where that is more than a minute."""
    minutes = (time.perf_counter() - first[1]) / (step - first[0]) * (total - step) / 60
    return f", {minutes:.0f} min left" if minutes >= 1 else ""


def _has_no_episode(plan: Plan, learner: nn.Module, images: ImageSet, kept: Tensor) -> bool:
    """Whether a learner of episodes finds none to train on: fewer than two classes have two images."""
    return learner.feed == "episodes" and plan.base is None and _ways(images, kept) < 2


def _ways(images: ImageSet, kept: Tensor) -> int:
    """Classes that have both a support and a query image for an episode."""
    return int((images.labels[kept].bincount() > 1).sum())


def _stream(
    settings: RunConfig, learner: nn.Module, pool: streams.Pool, ways: int, seed: int
) -> tuple[Callable[[int], Any], float]:
    """The stream that the learner feeds on, and how many of its steps are one pass over the pool."""
    train = settings.train
    assert train is not None
    change = augment.build(settings.augment, pool.n_classes)
    if settings.append is not None:
        added = augment.build(settings.append.augment, pool.n_classes)
        pool = streams.append(pool, settings.append.share, added, seed)
    n, smoothing = len(pool.labels), train.label_smoothing
    stream: Callable[[int], Any]
    if learner.feed == "episodes":
        shots, queries = settings.learner["shots"], settings.learner["queries"]
        stream = streams.episodes(pool, ways, shots, queries, change, seed, smoothing, strict=False)
        seen = min(n, (shots + queries) * ways)
    elif learner.feed == "pairs":
        stream, seen = streams.pairs(pool, train.batch_size, change, seed), train.batch_size
    else:
        stream, seen = streams.batches(pool, train.batch_size, change, seed, smoothing), min(n, train.batch_size)
    return stream, n / (seen * train.tasks_per_step)


def _as_features(
    learner: nn.Module, images: ImageSet, indices: Tensor, device: str, mark: str
) -> tuple[ImageSet, Tensor]:
    """Frozen features in the images' place, from the cache where they are there."""
    found = features.cached(learner.backbone, images, indices, device, mark)  # type: ignore[arg-type]
    return found, torch.arange(len(indices))


def _support(learner: nn.Module, images: ImageSet, kept: Tensor, device: str) -> Labelled:
    """What `adapt` is given: the support; where a head was trained, which needs no more, an image of each class."""
    if learner.feed == "batches":
        kept = torch.stack([kept[members[0]] for members in splits.by_class(images.labels[kept], len(images.classes))])
    return streams.labelled(images, kept, device)


def _batches(learner: nn.Module, images: ImageSet, indices: Tensor, device: str) -> Iterator[Labelled]:
    pictures = images.images.ndim == 4
    size = chunk_size(learner.backbone, images.images) if pictures else FEATURE_ROWS  # type: ignore[arg-type]
    return streams.chunks(images, indices, size, device)


def _sample(indices: Tensor) -> Tensor:
    """At most 10,000 of the support, evenly spread, to tell the training accuracy from."""
    return indices[torch.linspace(0, len(indices) - 1, min(len(indices), TRAIN_ACCURACY_IMAGES)).long()]


def _keep(
    folder: Path,
    learner: nn.Module,
    drawn: Mapping[str, Any],
    fitted: trainer.Fitted,
    predictions: Mapping[str, Tensor],
    result: Mapping[str, Any],
) -> None:
    """Write the draw's files; draw.json is the last, and says that the draw is done."""
    records.write_json(folder / "indices.json", drawn)
    lines = "".join(json.dumps(row) + "\n" for row in fitted.history)
    records.write_bytes(folder / "metrics.jsonl", lines.encode())
    arrays = {name: each.numpy() for name, each in predictions.items()}
    halved = {name: each.astype(np.float16) if each.dtype == np.float32 else each for name, each in arrays.items()}
    records.write_arrays(folder / "predictions.npz", halved)
    if learner.feed is not None:
        state = {name: each.contiguous().cpu() for name, each in learner.state_dict().items()}
        records.write_bytes(folder / "model.safetensors", safetensors_bytes(state))
    records.write_json(folder / "draw.json", result)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    for fold in folder.glob("fold-*"):
        shutil.rmtree(fold)
