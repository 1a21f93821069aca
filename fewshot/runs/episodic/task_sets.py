"""The tasks of a run: sampled, fixed by the data, or read from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from episodes.tasks import files, sampling, superclass_tasks, varying
from episodes.tasks.task_set import TaskSet
from fewshot.config import TaskSettings
from fewshot.errors import UserError
from fewshot.runs.episodic.given import GivenFeatures
from fewshot.runs.episodic.pool import Pool

Tasks = tuple[TaskSet, ...]


def of_run(settings: TaskSettings, pool: Pool | GivenFeatures) -> Tasks:
    """Return the tasks of an evaluation among the images of a pool.

    Raises:
        UserError: the pool has too few classes or images, or the file is not of these images.
    """
    if settings.file is not None:
        return files.read(Path(settings.file), pool).tasks
    if settings.sampler == "superclasses":
        return _of_superclasses(pool)
    if settings.sampler == "varying":
        return varying.varying(
            pool.labels, count=settings.count, seed=settings.seed, names=pool.classes
        )
    return (
        sampling.fixed(
            pool.labels,
            ways=settings.ways,
            shots=settings.shots,
            queries=settings.queries,
            count=settings.count,
            seed=settings.seed,
            balance=settings.balance,
            concentration=settings.concentration,
            missing=settings.missing,
            names=pool.classes,
        ),
    )


def described(settings: TaskSettings, tasks: Tasks) -> TaskSettings:
    """Return the settings with what tasks of a file have in place of what was asked for.

    Where tasks differ, the ways are the most and the shots and queries the means, rounded.
    """
    if settings.file is None and settings.sampler != "superclasses":
        return settings
    n_tasks, n_classes = sum(map(len, tasks)), sum(some.classes.numel() for some in tasks)
    shots = sum(some.support.numel() for some in tasks) / n_classes
    queries = sum(some.query.numel() for some in tasks) / n_classes
    changes = {
        "ways": max(some.n_way for some in tasks),
        "shots": max(1, round(shots)),
        "queries": max(1, round(queries)),
        "count": n_tasks,
    }
    return settings.model_copy(update=changes)


def without_replacement(settings: TaskSettings, pool: Pool | GivenFeatures) -> Tasks:
    """Return tasks of the same shape of which no two have an image in common.

    Returns:
        As many as there can be; none for tasks of varying shape, unequal queries or a file, and
        none if there would be a single one.
    """
    if settings.sampler != "fixed" or settings.balance != "balanced" or settings.file is not None:
        return ()
    tasks = sampling.without_replacement(
        pool.labels,
        ways=settings.ways,
        shots=settings.shots,
        queries=settings.queries,
        seed=settings.seed,
    )
    return (tasks,) if len(tasks) > 1 else ()


def _of_superclasses(pool: Pool | GivenFeatures) -> Tasks:
    if isinstance(pool, GivenFeatures) or len(pool.classes) < len(pool.data.train.classes):
        raise UserError(
            "tasks of superclasses are of whole data sets: leave out --split and --features."
        )
    return superclass_tasks.superclass_tasks(pool.data)


def fingerprint(tasks: Sequence[TaskSet]) -> str:
    """Return a hash of the tasks: of the images in them, in their order."""
    digest = hashlib.sha256()
    for some in tasks:
        values: tuple[Tensor, ...] = (
            some.support,
            some.support_labels,
            some.query,
            some.query_labels,
            some.classes,
        )
        for value in values:
            digest.update(f"{tuple(value.shape)}".encode())
            digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
