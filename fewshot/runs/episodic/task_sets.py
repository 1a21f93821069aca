"""The tasks of a run: sampled, fixed by the data, or read from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from torch import Tensor

from episodes.tasks import files, sampling, superclass_tasks, varying
from episodes.tasks.task_set import TaskSet
from fewshot.config import TaskSettings
from fewshot.errors import UserError
from fewshot.runs.episodic.given import GivenFeatures
from fewshot.runs.episodic.pool import Pool

Tasks = tuple[TaskSet, ...]
NOT_OF_VARYING = ("ways", "shots", "queries", "balance")  # settings that it does not read
# Settings that a file has of its own, beside those that can be counted.
OF_FILE = ("sampler", "balance", "concentration", "missing", "seed")


class Described(NamedTuple):
    """Tasks, and the settings that describe them."""

    tasks: Tasks
    settings: TaskSettings


def of_run(settings: TaskSettings, pool: Pool | GivenFeatures) -> Described:
    """Return the tasks of an evaluation among the images of a pool, and what they are.

    Raises:
        UserError: the pool has too few classes or images, the file is not of these images, or a
            setting was asked for that the tasks do not have.
    """
    if settings.file is not None:
        file = files.read(Path(settings.file), pool)
        of_file = _with_protocol(settings, file.protocol)
        return Described(file.tasks, _checked(settings, _with_sizes(of_file, file.tasks)))
    tasks = _sampled(settings, pool)
    if settings.sampler == "superclasses":
        own = settings.model_copy(update={"balance": "balanced"})
        return Described(tasks, _checked(settings, _with_sizes(own, tasks)))
    if settings.sampler == "varying":
        default = {name: getattr(TaskSettings(), name) for name in NOT_OF_VARYING}
        return Described(tasks, _checked(settings, settings.model_copy(update=default)))
    return Described(tasks, settings)


def _checked(asked: TaskSettings, described: TaskSettings) -> TaskSettings:
    """Return what describes tasks, if it is what was asked for as far as anything was.

    Raises:
        UserError: it is not.
    """
    for name in sorted(asked.model_fields_set):
        before, after = getattr(asked, name), getattr(described, name)
        if before == after:
            continue
        if asked.file is None and asked.sampler == "varying":
            raise UserError(
                f"tasks.{name} has no effect on tasks of the sampler 'varying': leave it out."
            )
        those = f"the tasks of {asked.file}" if asked.file else "the tasks of superclasses"
        raise UserError(
            f"tasks.{name} was set to {before}, but it is {after} in {those}: leave it out."
        )
    return described


def _sampled(settings: TaskSettings, pool: Pool | GivenFeatures) -> Tasks:
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


def _with_protocol(settings: TaskSettings, protocol: Mapping[str, Any]) -> TaskSettings:
    """Return the settings with those of a file, if it says how its tasks were sampled."""
    own = {name: protocol[name] for name in OF_FILE if name in protocol}
    try:
        return TaskSettings.model_validate({**settings.model_dump(), **own})
    except ValidationError:  # the words of another program
        return settings


def _with_sizes(settings: TaskSettings, tasks: Tasks) -> TaskSettings:
    """Return the settings with the numbers that tasks have in place of what was asked for.

    Where tasks differ, the ways are the most and the shots and queries the means, rounded.
    """
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
