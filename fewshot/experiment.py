"""The only wiring: a configuration and data in, draws run or continued, a record out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from episodes import augment, datasets, splits, streams
from episodes.rng import seeded
from episodes.types import ImageSet
from fewshot import config, devices, evaluation, features, provenance, records, trainer
from fewshot.config import RunConfig
from fewshot.plan import Plan, Tell, build_learner, prepare, support

TRAIN_ACCURACY_IMAGES = 10_000
QUERY_PIXELS = 512 * 32 * 32


def run(
    values: Mapping[str, Any],
    seeds: Sequence[int],
    *,
    out: Path = Path("runs"),
    device: str | None = None,
    force: bool = False,
    workers: int = 1,
    tell: Tell = lambda text: None,
) -> dict[str, Any]:
    """Run the missing draws of a configuration and return its record, written as record.json.

    values: settings on top of the method's preset, as nested mappings; seeds: one draw each.
    A finished draw is taken as it is, an unfinished one continues; `force` forgets the draws asked for.
    Raises UserError before anything is written where the request is wrong, trainer.Diverged where a training
    breaks, KeyboardInterrupt where it is interrupted.
    """
    plan = prepare(values, out, device, workers, tell)
    records.make_folder(plan.folder)
    _write_config(plan)
    if force:
        for seed in seeds:
            shutil.rmtree(plan.folder / f"draw-{seed}", ignore_errors=True)
    missing = [seed for seed in seeds if not (plan.folder / f"draw-{seed}" / "draw.json").exists()]
    if workers > 1 and len(missing) > 1:
        _draw_in_processes(plan, missing, workers, tell)
    else:
        for number, seed in enumerate(missing, start=1):
            draw(plan, seed, lambda text, number=number: tell(f"draw {number}/{len(missing)}: {text}"))  # type: ignore[misc]
    return finish(plan)


def _draw_in_processes(plan: Plan, seeds: Sequence[int], workers: int, tell: Tell) -> None:
    """Draws at once, each in its own process on its share of the cores; they find data and settings by themselves."""
    settings, device = plan.config.model_dump(mode="json"), plan.compute.device
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(_draw_alone, settings, seed, plan.folder.parent, device) for seed in seeds]
        try:
            for number, each in enumerate(running, start=1):
                each.result()
                tell(f"draw {number}/{len(seeds)}: done")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _draw_alone(settings: Mapping[str, Any], seed: int, out: Path, device: str) -> None:
    draw(prepare(settings, out, device), seed)


def finish(plan: Plan) -> dict[str, Any]:
    """Write the record of all finished draws of a run."""
    done = [records.read_json(path) for path in plan.folder.glob("draw-*/draw.json")]
    settings, data = plan.config, plan.data
    shared = {
        "run_id": plan.run_id,
        "method": settings.method,
        "preset": settings.preset,
        "backbone": settings.backbone.name,
        "weights": settings.backbone.weights,
        "data": data.train.name,
        "data_notes": list(dict.fromkeys(data.train.notes + data.test.notes)),
        "regime": settings.regime,
        "shots": settings.shots,
        "fraction": settings.fraction,
        "classes": list(data.train.classes),
        "n_test": len(data.test),
        "data_fingerprint": data.train.fingerprint,
    }
    record = records.assemble(shared, done)
    records.write_json(plan.folder / "record.json", record)
    return record


def _write_config(plan: Plan) -> None:
    values = {**plan.config.model_dump(mode="json"), "compute": plan.compute._asdict()}
    records.write_bytes(plan.folder / "config.yaml", config.dump(values).encode())


def draw(plan: Plan, seed: int, tell: Tell = lambda text: None) -> dict[str, Any]:
    """Run, continue or take one draw; what is returned is its draw.json."""
    folder = plan.folder / f"draw-{seed}"
    records.make_folder(folder)
    with FileLock(plan.folder / f".draw-{seed}.lock"):
        if (folder / "draw.json").exists():
            return records.read_json(folder / "draw.json")
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
    learner = build_learner(settings, plan.task, seed).to(compute.device)
    learner.backbone.set_compute(compute.precision, compute.channels_last)  # type: ignore[union-attr,operator]
    parameters = sum(parameter.numel() for parameter in learner.parameters())

    parts: dict[str, tuple[ImageSet, Tensor]] = {
        "train": (data.train, kept),
        "test": (data.test, torch.arange(len(data.test))),
    }
    if held is not None:
        parts["validation"] = (data.train, held)
    if learner.feed is None:
        tell("features")
        parts = {name: _as_features(learner, *part, compute.device) for name, part in parts.items()}

    warnings: list[str] = []
    fitted = _fit(plan, learner, parts, seed, folder, tell, warnings)
    tell("classifying")
    labelled = streams.labelled(*parts["train"], compute.device)
    classifier, test = evaluation.judge(learner, labelled, _batches(*parts["test"], compute.device))
    test_scores = evaluation.scores(test.logits, test.labels)
    train_sample = (parts["train"][0], _sample(parts["train"][1]))
    train = evaluation.quick(classifier, _batches(*train_sample, compute.device))
    predictions = {"test_logits": test.logits, "test_labels": test.labels}
    validation = None
    if held is not None:
        logits, labels = evaluation.classify(classifier, _batches(*parts["validation"], compute.device))
        validation = evaluation.scores(logits, labels).numbers()
        predictions |= {"validation_logits": logits, "validation_labels": labels}

    drawn = {"support": kept.tolist(), "validation": None if held is None else held.tolist()}
    result = {
        "seed": seed,
        "scores": test_scores.numbers(),
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
            "adapt_seconds": test.adapt_seconds,
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


def _fit(
    plan: Plan,
    learner: nn.Module,
    parts: Mapping[str, tuple[ImageSet, Tensor]],
    seed: int,
    folder: Path,
    tell: Tell,
    warnings: list[str],
) -> trainer.Fitted:
    """Train the learner where it has a feed; what the record must warn of is added to `warnings`."""
    settings, device = plan.config, plan.compute.device
    images, kept = parts["train"]
    pool = streams.pool(images, kept, device)
    ways = int((images.labels[kept].bincount() > 1).sum())  # classes that have both a support and a query image
    if learner.feed == "episodes" and ways < pool.n_classes:
        warnings.append(
            f"{pool.n_classes - ways} of {pool.n_classes} classes have one image and are in no training episode"
            + (": the features are untrained" if ways < 2 else "")
        )
    if settings.train is None or (learner.feed == "episodes" and ways < 2):
        return trainer.Fitted([], 0, 0.0, 0, None)
    if hasattr(learner, "prepare") and not (folder / "checkpoint.pt").exists():
        learner.eval()
        learner.prepare(streams.labelled(images, kept, device))  # type: ignore[operator]
    stream, steps_per_epoch = _stream(settings, learner, pool, ways, seed)
    validate = None
    if "validation" in parts:

        def validate(model: nn.Module) -> dict[str, float]:
            classifier = model.adapt(streams.labelled(images, kept, device))  # type: ignore[operator]
            return evaluation.quick(classifier, _batches(*parts["validation"], device))

    def on_log(row: dict[str, float], total: int) -> None:
        judged = f", validation {row['validation_accuracy']:.3f}" if "validation_accuracy" in row else ""
        tell(f"step {row['step']}/{total}, loss {row['train_loss']:.3f}{judged}")
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    with seeded(seed, "fit"):
        return trainer.fit(
            learner,
            stream,
            settings.train,
            steps_per_epoch,
            validate=validate,
            keep_best=settings.select == "holdout",
            checkpoint=folder / "checkpoint.pt",
            on_log=on_log,
        )


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
    if learner.feed == "episodes":
        shots, queries = settings.learner["shots"], settings.learner["queries"]
        stream = streams.episodes(pool, ways, shots, queries, change, seed, smoothing, strict=False)
        return stream, n / min(n, (shots + queries) * ways) / train.tasks_per_step
    if learner.feed == "pairs":
        return streams.pairs(pool, train.batch_size, change, seed), n / train.batch_size
    return streams.batches(pool, train.batch_size, change, seed, smoothing), n / min(n, train.batch_size)


def _as_features(learner: nn.Module, images: ImageSet, indices: Tensor, device: str) -> tuple[ImageSet, Tensor]:
    """Frozen features in the images' place, from the cache where they are there."""
    folder = datasets.cache_root() / "features"
    found = features.cached(learner.backbone, images, indices, device, folder)  # type: ignore[arg-type]
    return found, torch.arange(len(indices))


def _batches(images: ImageSet, indices: Tensor, device: str) -> Any:
    pixels = images.images.shape[-1] * images.images.shape[-2] if images.images.ndim == 4 else 1024
    return streams.chunks(images, indices, max(16, QUERY_PIXELS // pixels), device)


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
