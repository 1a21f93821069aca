"""The result of one method on one set of tasks, and its file. Imports no torch."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fewshot import io
from fewshot.config import TaskSettings
from fewshot.evaluation import task_scores
from fewshot.evaluation.task_scores import TaskScore
from fewshot.runs import records
from fewshot.runs.trial_record import Provenance, known_keys

Record = dict[str, Any]  # a record as it is on disk


@dataclass(frozen=True)
class Training:
    """How the weights of a meta-trained learner were made.

    Args:
        method: name of the learner that was trained; for a head, of the classifier whose body it
            uses.
        base: names of the data sets of the base classes.
        n_classes: number of base classes.
        n_images: number of their images.
        seed: seed of the initial weights and of the training tasks.
        steps: optimiser steps.
        best_step: step whose weights were used; None for those of the last step.
        seconds: seconds of the training.
        val_accuracy: accuracy on tasks of the val classes at `best_step`; None without them.
    """

    method: str
    base: list[str]
    n_classes: int
    n_images: int
    seed: int
    steps: int
    best_step: int | None
    seconds: float
    val_accuracy: float | None = None


@dataclass(frozen=True)
class EpisodesCost:
    """What a result of the episodic regime costs.

    Args:
        evaluation_seconds: seconds of all tasks: fit to the support and classify the queries.
        feature_seconds: seconds in which the features of the pool were computed, now or when they
            were cached; 0 if features were given or images were used, None if unknown.
        train_seconds: seconds of the meta-training; 0 without one.
        peak_memory_mb: most memory of the process, in MB.
        parameters: number of parameters of the learner, or of the body for a head; 0 if features
            were given.
    """

    evaluation_seconds: float
    feature_seconds: float | None
    train_seconds: float
    peak_memory_mb: float
    parameters: int


@dataclass(frozen=True, kw_only=True, repr=False)
class EpisodesRecord:
    """The result of one method on one set of tasks.

    Args:
        run_id: hash of the settings and the data.
        method: name of the learner or head.
        name: what ran, in words.
        transductive: whether the prediction of a query depends on the other queries of its task.
        preset: name of the preset; empty for a head without a training.
        backbone: name of the network; `given features` if features were given.
        weights: its initial weights; empty if features were given.
        data: name of the data set.
        data_notes: sentences about the data.
        split: name of the division of classes; None if all classes are in the pool.
        part: the part of the classes that the tasks are of.
        classes: names of the classes of the pool, in the order of its labels.
        n_images: number of images of the pool.
        tasks: the settings of the tasks.
        tasks_hash: hash of the tasks; methods with equal hashes saw identical tasks.
        correct: number of correct queries of each task.
        n_queries: number of queries of each task, or one number if it is the same for all.
        accuracy: mean accuracy over these tasks, with the interval for other tasks of the same
            images.
        without_replacement: mean accuracy over tasks of which no two have an image in common, with
            the interval for other images; None for tasks of varying shape or unequal queries.
        without_replacement_correct: number of correct queries of each of those tasks.
        training: how the weights were trained on base classes; None without a meta-training.
        cost: seconds and memory.
        provenance: where the result comes from.
        warnings: sentences that a reader of the result must know.
        config: the resolved configuration, with data sets by name.
        regime: "episodic".
    """

    run_id: str
    method: str
    name: str
    transductive: bool
    preset: str
    backbone: str
    weights: str
    data: str
    data_notes: list[str]
    split: str | None
    part: str
    classes: list[str]
    n_images: int
    tasks: TaskSettings
    tasks_hash: str
    correct: list[int]
    n_queries: list[int] | int
    accuracy: TaskScore
    without_replacement: TaskScore | None
    training: Training | None
    cost: EpisodesCost
    provenance: Provenance
    warnings: list[str]
    config: dict[str, Any]
    without_replacement_correct: list[int] = field(default_factory=list)
    regime: str = records.EPISODIC

    @cached_property
    def accuracies(self) -> np.ndarray:
        """The accuracy of each task, float64 [t], for paired differences."""
        return task_scores.accuracies(self.correct, self.n_queries)

    @property
    def tasks_per_second(self) -> float:
        """Tasks that were solved in a second, features not included."""
        n_tasks = len(self.correct) + len(self.without_replacement_correct)
        return n_tasks / max(self.cost.evaluation_seconds, 1e-9)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> EpisodesRecord:
        """Return the record that a `record.json` describes."""
        apart, training = content["without_replacement"], content["training"]
        return cls(
            **{
                **known_keys(cls, content),
                "tasks": TaskSettings.model_validate(content["tasks"]),
                "accuracy": TaskScore.from_json(content["accuracy"]),
                "without_replacement": None if apart is None else TaskScore.from_json(apart),
                "training": None
                if training is None
                else Training(**known_keys(Training, training)),
                "cost": EpisodesCost(**known_keys(EpisodesCost, content["cost"])),
                "provenance": Provenance.from_json(content["provenance"]),
            }
        )

    def to_json(self) -> Record:
        """Return the content of `record.json`."""
        apart = self.without_replacement
        return {
            **{one.name: getattr(self, one.name) for one in fields(self)},
            "tasks": self.tasks.model_dump(mode="json"),
            "accuracy": self.accuracy.to_json(),
            "without_replacement": None if apart is None else apart.to_json(),
            "training": None if self.training is None else asdict(self.training),
            "cost": asdict(self.cost),
            "provenance": self.provenance.to_json(),
        }

    def __repr__(self) -> str:
        return (
            f"EpisodesRecord({self.name} on {self.data}, {len(self.correct):,} tasks: "
            f"accuracy {self.accuracy} %, run {self.run_id})"
        )

    def _repr_html_(self) -> str:
        """Return a table for notebooks: accuracies with their intervals, and what they cost."""
        apart = self.without_replacement
        rows = {
            f"accuracy over {len(self.correct):,} tasks": f"{self.accuracy} %",
            "over tasks without a common image": "none"
            if apart is None
            else f"{apart} % (n = {apart.n})",
            "kind": "transductive" if self.transductive else "inductive",
            "tasks per second": f"{self.tasks_per_second:,.0f}",
        }
        cells = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>"
            for name, text in rows.items()
        )
        notes = "".join(f"<li>{html.escape(text)}</li>" for text in self.warnings)
        return (
            f"<table><caption>{html.escape(self.name)} on {html.escape(self.data)}; run "
            f"{self.run_id}</caption>{cells}</table>" + (f"<ul>{notes}</ul>" if notes else "")
        )


def find(places: Sequence[Path]) -> list[tuple[Path, Record]]:
    """Return every record of the episodic regime under files and folders, as it is on disk.

    Returns:
        (path, content) without repeats, sorted by path.

    Raises:
        UserError: a place does not exist or holds no record of this regime.
    """
    return records.of_regime(places, records.EPISODIC)


def load(places: Sequence[Path]) -> list[tuple[Path, EpisodesRecord]]:
    """Return what `find` returns, with typed records."""
    records_on_disk = find(places)
    return [
        (path, io.as_object(content, EpisodesRecord.from_json, path))
        for path, content in records_on_disk
    ]


def read(path: Path) -> EpisodesRecord:
    """Read one record.json."""
    return io.read_as(path, EpisodesRecord.from_json)


def write(path: Path, record: EpisodesRecord) -> None:
    """Write a record.json with a line for each key, so that the counts of tasks take one line."""
    lines = [
        f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}"
        for key, value in record.to_json().items()
    ]
    io.write_bytes(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
