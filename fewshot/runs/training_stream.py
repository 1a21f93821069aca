"""The stream of batches, episodes or pairs that a learner trains on."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from episodes import augment, streams
from episodes.augment.pipeline import Augment, Step
from episodes.rng import generator
from episodes.types import Episode, Labelled, Pairs
from fewshot import distributed
from fewshot.config import Append, Train
from fewshot.learners.base import Learner
from fewshot.runs import base_sets, trial_data
from fewshot.runs.training_run import TrainingRun
from fewshot.runs.trial_data import Part
from fewshot.training import trainer


def of_run(
    run: TrainingRun, learner: Learner, train: Part, seed: int
) -> tuple[trainer.Stream, float]:
    """Return the stream that the learner trains on, and its steps per pass over the images.

    Batches come from the union of several base sets; an episode or a batch of pairs comes from one
    of them, which is chosen at random in proportion to its classes.
    """
    ways = learner.episode_ways or run.task.n_way
    if not run.bases:
        ways = trial_data.episode_ways(train)
    assert run.config.train is not None
    pool = streams.pool(train.source, train.indices, run.compute.device)
    settings, steps, append = run.config.train, run.config.augment, run.config.append
    if len(run.bases) < 2 or learner.feed == "batches":
        return of_pool(settings, steps, learner, pool, ways, seed, append)
    pools = list(base_sets.divided(pool, run.bases))
    steps_per_epoch = sum(
        _steps_per_epoch(settings, learner, len(part.labels), ways) for part in pools
    )
    items = settings.total_steps(steps_per_epoch) * settings.tasks_per_step
    parts = [_stream(settings, steps, learner, part, ways, seed, items) for part in pools]
    weights = torch.tensor([float(len(base.classes)) for base in run.bases])

    def stream(item: int) -> Labelled | Episode | Pairs:
        chosen = torch.multinomial(weights, 1, generator=generator(seed, "base-set", item))
        return parts[int(chosen)](item)

    return stream, steps_per_epoch


def of_pool(
    settings: Train,
    augmentations: Sequence[Step],
    learner: Learner,
    pool: streams.Pool,
    ways: int,
    seed: int,
    append: Append | None = None,
) -> tuple[trainer.Stream, float]:
    """Return the stream of a pool of training images, and its steps per pass over them.

    Args:
        settings: how the learner is trained.
        augmentations: steps of augmentation, perhaps each up to a share of the training.
        learner: the learner, whose feed decides what the stream yields.
        pool: training images on their device.
        ways: classes of a training episode.
        seed: seed of the trial.
        append: transformed copies of the images to add before training.
    """
    if append is not None:
        appended = augment.build(append.augment, pool.n_classes)
        pool = streams.append(pool, append.share, appended, seed)
    learner.on_train_start(len(pool.labels))
    steps_per_epoch = _steps_per_epoch(settings, learner, len(pool.labels), ways)
    items = settings.total_steps(steps_per_epoch) * settings.tasks_per_step
    return _stream(settings, augmentations, learner, pool, ways, seed, items), steps_per_epoch


def _steps_per_epoch(settings: Train, learner: Learner, n: int, ways: int) -> float:
    images_per_item = settings.batch_size
    if learner.feed == "episodes":
        images_per_item = (learner.episode_shots + learner.episode_queries) * ways
    if learner.feed != "pairs":  # there are always enough pairs
        images_per_item = min(n, images_per_item)
    return n / (images_per_item * settings.tasks_per_step)


def _stream(
    settings: Train,
    augmentations: Sequence[Step],
    learner: Learner,
    pool: streams.Pool,
    ways: int,
    seed: int,
    items: int,
) -> trainer.Stream:
    """Return the stream of a pool for a training of so many items."""
    spans: list[tuple[float, trainer.Stream]] = []
    for end, steps in augment.spans(augmentations):
        change = augment.build(steps, pool.n_classes)
        spans.append((end * items, _augmented(settings, learner, pool, ways, seed, change)))

    def stream(item: int) -> Labelled | Episode | Pairs:
        for end, span in spans:
            if item < end:
                return span(item)
        raise IndexError(item)

    return stream


def _augmented(
    settings: Train,
    learner: Learner,
    pool: streams.Pool,
    ways: int,
    seed: int,
    change: Augment,
) -> trainer.Stream:
    """Return the stream of the learner's feed under one augmentation."""
    smoothing, within = settings.label_smoothing, settings.within_superclass
    if learner.feed == "episodes":
        shots, queries = learner.episode_shots, learner.episode_queries
        return streams.episodes(
            pool,
            ways,
            shots,
            queries,
            change,
            seed,
            smoothing,
            strict=False,
            within_superclass=within,
        )
    if learner.feed == "pairs":
        return streams.pairs(pool, settings.batch_size, change, seed, within)
    shard = (distributed.rank(), distributed.world())
    return streams.batches(pool, settings.batch_size, change, seed, smoothing, shard)
