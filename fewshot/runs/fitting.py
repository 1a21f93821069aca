"""One training of a draw: the learner, what it feeds on, what judges it while it trains, and when it stops."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from episodes import augment, streams, subsets
from episodes.augment.pipeline import Augment
from episodes.rng import generator, seeded
from episodes.types import ImageSet, Labelled
from fewshot import distributed, io
from fewshot.backbones import Backbone, chunk_size, embed
from fewshot.config import RunConfig
from fewshot.evaluation import metrics
from fewshot.features import frozen
from fewshot.learners.base import Learner
from fewshot.runs.resolve import ResolvedRun, Tell, build_learner
from fewshot.training import trainer

FOLDS = 5
BEGIN_IMAGES = 5000  # of the support, that a backbone with random weights begins from
FEATURE_ROWS = 4096  # rows of features that are classified at once


def build(plan: ResolvedRun, seed: int) -> Learner:
    learner = build_learner(plan.config, plan.task, seed).to(plan.compute.device)
    learner.backbone.set_compute(plan.compute.precision, plan.compute.channels_last)
    return learner


def best_share(
    plan: ResolvedRun, train: ImageSet, kept: Tensor, seed: int, folder: Path, tell: Tell
) -> tuple[float, float]:
    """The share of the training after which the loss, averaged over what each fold of the support leaves out, is least;
    and the seconds that the folds trained.

    The loss is taken at the temperature that is best for it: a head that starts as a regularised probe grows surer for
    many steps without telling the classes apart any better. The share may be 0: then the learner is best as it starts.
    A finished fold is kept beside the draw's other files until the draw is done.
    """
    labels, found = train.labels[kept], []
    if plan.config.select == "support_cv_ends":
        settings = plan.config.train.model_copy(update={"log_every_epochs": math.inf})  # type: ignore[union-attr]
        plan = plan._replace(config=plan.config.model_copy(update={"train": settings}))
    for number, (inside, outside) in enumerate(
        subsets.folds(labels, min(FOLDS, int(labels.bincount().min())), 0)
    ):
        place = folder / f"fold-{number}"
        if not (place / "history.json").exists():
            io.make_folder(place)
            parts = {"train": (train, kept[inside]), "validation": (train, kept[outside])}
            fitted = fit(plan, build(plan, seed), parts, seed, place, tell, [], judge_start=True)
            io.write_json(
                place / "history.json", {"history": fitted.history, "seconds": fitted.seconds}
            )
        found.append(io.read_json(place / "history.json"))
    curves = [each["history"] for each in found]
    points = min(map(len, curves))  # folds may differ by a step where the classes do not divide
    losses = [
        np.mean([curve[point]["validation_loss"] for curve in curves]) for point in range(points)
    ]
    best = int(np.argmin(losses))
    return curves[0][best]["step"] / curves[0][-1]["step"], sum(each["seconds"] for each in found)


def fit(
    plan: ResolvedRun,
    learner: Learner,
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
                + (
                    ": the features stay as they were"
                    if has_no_episode(plan, learner, images, kept)
                    else ""
                )
            )
    if settings.train is None or has_no_episode(plan, learner, images, kept):
        return trainer.Fitted([], 0, 0.0, 0, None)
    new = not (folder / "checkpoint.pt").exists()
    if new and settings.backbone.weights == "none" and images.images.ndim == 4:
        some = kept[torch.randperm(len(kept), generator=generator(seed, "begin"))[:BEGIN_IMAGES]]
        seen = streams.labelled(images, some, device).images
        for part in learner.modules():  # the learner's backbone, and a small one beside it
            if isinstance(part, Backbone):
                part.initialise(seen)
    if new and learner.prepares:
        learner.eval()
        learner.prepare(streams.labelled(images, kept, device))
    phases = settings.train.phases
    if settings.backbone.weights == "none" and any(
        frozen.batch_norms(learner, each.trainable)[1] for each in phases
    ):
        warnings.append(
            "batch norm is held at its initial statistics on random weights, so nothing is normalised"
        )
    if plan.base is None:
        pool, ways = streams.pool(images, kept, device), _ways(images, kept)
    else:
        pool, ways = (
            streams.pool(plan.base, torch.arange(len(plan.base)), device),
            len(images.classes),
        )
    stream, steps_per_epoch = _stream(settings, learner, pool, ways, seed)
    validate = None
    if "validation" in parts:
        labelled = handed(learner, images, kept, device)

        @torch.no_grad()
        def validate(model: Learner) -> dict[str, float]:
            classifier = model.adapt(labelled)
            judge = metrics.tempered if judge_start else metrics.quick
            return judge(classifier, batches(learner, *parts["validation"], device))

    first: list[tuple[float, float]] = []  # step and second of this session's first log point

    def on_log(row: trainer.LogPoint, total: int) -> None:
        judged = (
            f", validation {row['validation_accuracy']:.3f}" if "validation_accuracy" in row else ""
        )
        left = _left(first[0], row["step"], total) if first else ""
        first[:] = first or [(row["step"], time.perf_counter())]
        tell(f"step {row['step']}/{total}, loss {row['train_loss']:.3f}{judged}{left}")
        io.append_line(folder / "metrics.jsonl", row)

    with seeded(seed, "fit", *([distributed.rank()] if distributed.rank() else [])):
        fitted = trainer.fit(
            learner,
            stream,
            settings.train,
            steps_per_epoch,
            validate=validate,
            keep_best=settings.select == "holdout",
            evaluate_start=judge_start,
            until=until,
            checkpoint=folder / "checkpoint.pt",
            on_log=on_log,
        )
    learner.on_train_end()
    return fitted


def _left(first: tuple[float, float], step: float, total: int) -> str:
    """How long the rest takes at the speed since `first`, where that is more than a minute."""
    minutes = (time.perf_counter() - first[1]) / (step - first[0]) * (total - step) / 60
    return f", {minutes:.0f} min left" if minutes >= 1 else ""


def has_no_episode(plan: ResolvedRun, learner: Learner, images: ImageSet, kept: Tensor) -> bool:
    """Whether a learner of episodes finds none to train on: fewer than two classes have two images."""
    return learner.feed == "episodes" and plan.base is None and _ways(images, kept) < 2


def _ways(images: ImageSet, kept: Tensor) -> int:
    """Classes that have both a support and a query image for an episode."""
    return int((images.labels[kept].bincount() > 1).sum())


def _stream(
    settings: RunConfig, learner: Learner, pool: streams.Pool, ways: int, seed: int
) -> tuple[Callable[[int], Any], float]:
    """The stream that the learner feeds on, and how many of its steps are one pass over the pool."""
    train = settings.train
    assert train is not None
    if settings.append is not None:
        added = augment.build(settings.append.augment, pool.n_classes)
        pool = streams.append(pool, settings.append.share, added, seed)
    n, smoothing = len(pool.labels), train.label_smoothing
    learner.on_train_start(n)
    shots, queries, seen = 0, 0, train.batch_size
    if learner.feed == "episodes":
        shots, queries = learner.episode_shots, learner.episode_queries
        seen = (shots + queries) * ways
    if learner.feed != "pairs":  # of which there are always enough
        seen = min(n, seen)
    steps_per_epoch = n / (seen * train.tasks_per_step)

    def fed(change: Augment) -> Callable[[int], Any]:
        if learner.feed == "episodes":
            return streams.episodes(
                pool, ways, shots, queries, change, seed, smoothing, strict=False
            )
        if learner.feed == "pairs":
            return streams.pairs(pool, train.batch_size, change, seed)
        part = (distributed.rank(), distributed.world())
        return streams.batches(pool, train.batch_size, change, seed, smoothing, part)

    items = train.total_steps(steps_per_epoch) * train.tasks_per_step
    parts = [
        (end * items, fed(augment.build(steps, pool.n_classes)))
        for end, steps in augment.spans(settings.augment)
    ]
    return lambda item: next(stream for end, stream in parts if item < end)(item), steps_per_epoch


def handed(learner: Learner, images: ImageSet, kept: Tensor, device: str) -> Labelled:
    """What `adapt` is given: the support; where a trained head classifies, which needs none, an image of each class."""
    if learner.feed == "batches" and not learner.needs.support:
        kept = torch.stack(
            [
                kept[members[0]]
                for members in subsets.by_class(images.labels[kept], len(images.classes))
            ]
        )
    return streams.labelled(images, kept, device)


def batches(learner: Learner, images: ImageSet, indices: Tensor, device: str) -> Iterator[Labelled]:
    pictures = images.images.ndim == 4
    size = chunk_size(learner.backbone, images.images) if pictures else FEATURE_ROWS
    return streams.chunks(images, indices, size, device)


@torch.no_grad()
def judged(learner: Learner, images: ImageSet, indices: Tensor, device: str) -> Iterable[Labelled]:
    """The batches that judge a trained learner, as often as wanted; features, found once, where it measures on them."""
    found = _Again(partial(batches, learner, images, indices, device))
    if not learner.metric_names or learner.needs.metric_images:
        return found
    learner.eval()
    return [Labelled(embed(learner.backbone, each.images), each.labels) for each in found]


class _Again:
    """What a function yields, from the beginning each time."""

    def __init__(self, make: Callable[[], Iterable[Labelled]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[Labelled]:
        return iter(self.make())
