"""Task files: which images are in each task, so that anybody can evaluate on the identical tasks.

A task file is an .npz file (numpy's, without pickle), which numpy alone can read:

| key | shape | content |
| --- | --- | --- |
| `version` | | version of this format, 1 |
| `data` | | name of the data set |
| `fingerprint` | | hash of its images, whatever the size of their pixels, and of its classes |
| `class_names` | [classes] | names of the classes of the pool |
| `labels` | [images] | class of each image of the pool |
| `protocol` | | how the tasks were sampled, as JSON |
| `classes` | [sum of ways] | classes of each task, task after task |
| `ways` | [tasks] | number of classes of each task |
| `support` | [sum of sizes] | support images of each task, as places in `labels` |
| `support_labels` | [sum of sizes] | the class of each within its task, from 0 to ways - 1 |
| `support_sizes` | [tasks] | number of support images of each task |
| `query`, `query_labels`, `query_sizes` | | the same for queries |
| `sets` | [sets] | numbers of consecutive tasks that are one `TaskSet` |

The pool is all images of the classes: the training images of the data set first, then its test
images, each in their order. If all tasks have the same shape, `file["support"].reshape(n, -1)` has
one of n tasks in each row; otherwise use `numpy.split` with the cumulative sums of the sizes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from episodes.datasets import drafts
from episodes.errors import DAMAGED_ARRAYS, UserError
from episodes.tasks.task_set import TaskSet

VERSION = 1
EXAMPLES = 3  # classes that a message names
KEYS = (
    *("version", "data", "fingerprint", "class_names", "labels", "protocol", "classes", "ways"),
    *("support", "support_labels", "support_sizes", "query", "query_labels", "query_sizes", "sets"),
)
TEXTS = ("data", "fingerprint", "class_names", "protocol")  # the other keys hold numbers


class Pool(Protocol):
    """The labelled images that tasks index, such as an `ImageSet`."""

    @property
    def name(self) -> str:
        """Name of the data set."""

    @property
    def identity(self) -> str:
        """Hash of the images, whatever the size of their pixels, and of the classes."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""

    @property
    def labels(self) -> Tensor:
        """Label of each image, int64 [n]."""


@dataclass(frozen=True)
class TaskFile:
    """The content of a task file.

    Attributes:
        tasks: the tasks, in sets of equal shape.
        data: name of the data set.
        protocol: how the tasks were sampled.
    """

    tasks: tuple[TaskSet, ...]
    data: str
    protocol: Mapping[str, Any]


def write(
    path: Path, tasks: Sequence[TaskSet], pool: Pool, protocol: Mapping[str, Any] | None = None
) -> None:
    """Write tasks to a task file; equal tasks give equal bytes.

    Args:
        path: the file to write or to replace.
        tasks: sets of tasks.
        pool: the images that they index.
        protocol: how they were sampled, in values of JSON.

    Raises:
        UserError: the file cannot be written; an existing file is then unchanged.
    """
    numbers = {
        "classes": _flat([some.classes for some in tasks]),
        "ways": _sizes([some.classes for some in tasks]),
        "support": _flat([some.support for some in tasks]),
        "support_labels": _flat([some.support_labels for some in tasks]),
        "support_sizes": _sizes([some.support for some in tasks]),
        "query": _flat([some.query for some in tasks]),
        "query_labels": _flat([some.query_labels for some in tasks]),
        "query_sizes": _sizes([some.query for some in tasks]),
        "sets": np.array([len(some) for some in tasks], dtype=np.int32),
        "labels": pool.labels.numpy().astype(np.int32),
    }
    words = {
        "version": np.array(VERSION),
        "data": np.array(pool.name),
        "fingerprint": np.array(pool.identity),
        "class_names": np.array(pool.classes),
        "protocol": np.array(json.dumps(dict(protocol or {}), sort_keys=True)),
    }
    try:
        with drafts.draft(path) as file:
            np.savez_compressed(file, **words, **numbers)  # type: ignore[arg-type]  # a keyword
    except OSError as error:
        raise UserError(
            f"{path} could not be written ({error.strerror}): free some space, or name another "
            "folder."
        ) from error


def _flat(rows: Sequence[Tensor]) -> np.ndarray:
    """Return all values of [tasks, n] arrays of different n, task after task."""
    return np.concatenate([row.numpy().ravel() for row in rows]).astype(np.int32)


def _sizes(rows: Sequence[Tensor]) -> np.ndarray:
    """Return the number of values of each task."""
    return np.concatenate([np.full(len(row), row.shape[1], np.int32) for row in rows])


def read(path: Path, pool: Pool) -> TaskFile:
    """Read a task file.

    Args:
        path: the file.
        pool: the images that its tasks have to index.

    Raises:
        UserError: the file cannot be read, is no task file, holds impossible tasks, or was written
            for other images.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in KEYS}
        protocol = json.loads(str(arrays["protocol"]))
        _check_types(arrays)
        if not isinstance(protocol, dict):
            raise ValueError("`protocol` is not a JSON object")
    except FileNotFoundError:
        raise UserError(f"the task file {path} does not exist.") from None
    except (*DAMAGED_ARRAYS, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read as a task file ({error}): write one with `fewshot episodes` "
            "or with the keys that docs/data.md lists."
        ) from None
    if int(arrays["version"]) != VERSION:
        raise UserError(
            f"{path} has version {arrays['version']} of task files, and this program reads version "
            f"{VERSION}: update one of them."
        )
    data = str(arrays["data"])
    if differences := _differences(arrays, pool):
        raise UserError(
            f"{path} has tasks of '{data}', and '{pool.name}' is other data: {differences}."
        )
    return TaskFile(_task_sets(path, arrays), data, protocol)


def _check_types(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError if an array has another type or shape than it is written with."""
    names = arrays["class_names"]
    if names.dtype.kind != "U" or names.ndim != 1:
        raise ValueError("`class_names` is not a one-dimensional array of texts")
    for key in KEYS:
        if key in TEXTS:
            continue
        is_whole = np.issubdtype(arrays[key].dtype, np.integer)
        if key == "version" and not (is_whole and arrays[key].ndim == 0):
            raise ValueError("`version` is not a whole number")
        if key != "version" and not (is_whole and arrays[key].ndim == 1):
            raise ValueError(f"`{key}` is not a one-dimensional array of whole numbers")


def _differences(arrays: Mapping[str, np.ndarray], pool: Pool) -> str:
    """Return in which way a pool is not the one that a file was written for; empty if it is."""
    names = arrays["class_names"].tolist()
    lacking = [name for name in names if name not in pool.classes]
    more = [name for name in pool.classes if name not in names]
    parts = [
        f"{what} {len(classes)} classes ({', '.join(classes[:EXAMPLES])}"
        f"{', ...' if len(classes) > EXAMPLES else ''})"
        for what, classes in (("it lacks", lacking), ("it has the other", more))
        if classes
    ]
    if parts:
        return " and ".join(parts)
    if names != list(pool.classes):
        return "its classes are the same in another order"
    labels, own = arrays["labels"], pool.labels.numpy()
    if len(labels) != len(own):
        return f"it has {len(own)} images of these classes, not {len(labels)}"
    if different := int((labels != own).sum()):
        return f"{different} of its {len(own)} images have another class or another place"
    if str(arrays["fingerprint"]) != pool.identity:
        return "its images differ in content, though their classes agree"
    return ""


def _task_sets(path: Path, arrays: Mapping[str, np.ndarray]) -> tuple[TaskSet, ...]:
    """Return the tasks of a file.

    Raises:
        UserError: they are no tasks of the images.
    """
    ragged = {
        key: _rows(path, arrays, key, sizes)
        for key, sizes in {
            "classes": "ways",
            "support": "support_sizes",
            "support_labels": "support_sizes",
            "query": "query_sizes",
            "query_labels": "query_sizes",
        }.items()
    }
    n_tasks = len(arrays["ways"])
    lengths = {len(rows) for rows in ragged.values()} | {int(arrays["sets"].sum())}
    if lengths != {n_tasks} or not n_tasks:
        raise UserError(f"{path}: its arrays have different numbers of tasks: it is damaged.")
    ends = np.cumsum(arrays["sets"])
    sets = [
        {key: rows[end - n : end] for key, rows in ragged.items()}
        for end, n in zip(ends, arrays["sets"], strict=True)
    ]
    try:
        tasks = [
            TaskSet(**{key: torch.from_numpy(np.stack(rows)) for key, rows in one.items()})
            for one in sets
        ]
    except ValueError:
        raise UserError(f"{path}: tasks of one set differ in their shape: it is damaged.") from None
    labels = torch.from_numpy(arrays["labels"].astype(np.int64))
    for number, some in enumerate(tasks):
        if wrong := _wrong(some, labels):
            raise UserError(f"{path}, set {number} of its tasks: {wrong}: it is damaged.")
    return tuple(tasks)


def _rows(
    path: Path, arrays: Mapping[str, np.ndarray], key: str, sizes_key: str
) -> list[np.ndarray]:
    """Return the part of a flat array that belongs to each task."""
    values, sizes = arrays[key].astype(np.int64), arrays[sizes_key]
    if values.shape != (sizes.sum(),):
        raise UserError(
            f"{path}: `{key}` has the shape {list(values.shape)}, but `{sizes_key}` sums to "
            f"{sizes.sum()}: it is damaged."
        )
    return np.split(values, np.cumsum(sizes)[:-1])


def _wrong(tasks: TaskSet, labels: Tensor) -> str:
    """Return what makes a set of tasks impossible; empty if nothing does."""
    images = torch.cat([tasks.support, tasks.query], 1)
    in_task = torch.cat([tasks.support_labels, tasks.query_labels], 1)
    if not (tasks.support.shape[1] and tasks.query.shape[1]):
        return "a task has no support images, or no queries"
    if images.min() < 0 or images.max() >= len(labels):
        return f"an image is not among the {len(labels)} of the data"
    if in_task.min() < 0 or in_task.max() >= tasks.n_way:
        return "a label within a task is not below its ways"
    if _repeats(tasks.classes):
        return "a task has a class twice"
    if _repeats(images):
        return "a task has an image twice"
    if not torch.equal(labels[images], tasks.classes.gather(1, in_task)):
        return "an image does not have the class of its task"
    n_shots = torch.zeros_like(tasks.classes).scatter_add_(
        1, tasks.support_labels, torch.ones_like(tasks.support_labels)
    )
    return "" if n_shots.all() else "a class has no support image"


def _repeats(rows: Tensor) -> bool:
    """Return whether a row holds a value twice."""
    ordered = rows.sort(1).values
    return bool((ordered[:, 1:] == ordered[:, :-1]).any())
