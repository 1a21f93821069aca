"""Records of the episodic regime by what they share: images, classes, and identical tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from fewshot.config import TaskSettings
from fewshot.errors import UserError
from fewshot.evaluation.paired_tests import AllPairs, Difference
from fewshot.report import formatting
from fewshot.runs.episodic.record import EpisodesRecord

KINDS = {False: "inductive", True: "transductive"}
SHAPES = {  # sampler -> the tasks in words, where ways and shots are not settings
    "varying": "varying ways and shots",
    "superclasses": "one task for each superclass",
}
SETTINGS_OF_METHOD = ("head", "learner")  # sections of the configuration


class Pool(NamedTuple):
    """The images that tasks are sampled from.

    Attributes:
        data: name of the data set.
        fingerprint: hash of its images.
        split: name of the division of classes; None if all classes are in the pool.
        part: the part of the classes that the tasks are of.
        classes: their names.
    """

    data: str
    fingerprint: str
    split: str | None
    part: str
    classes: tuple[str, ...]

    @property
    def title(self) -> str:
        """The pool in words, for example "cifar10, all 10 classes"."""
        return f"{self.data}, {self.of_classes}"

    @property
    def of_classes(self) -> str:
        """The classes in words, for example "all 10 classes"."""
        if self.split is None:
            return f"all {len(self.classes)} classes"
        return f"{len(self.classes)} {self.part} classes of split {self.split}"


class System(NamedTuple):
    """What is the same in the records of one method on tasks of several shapes.

    Attributes:
        name: what ran, in words.
        backbone: name of the network.
        weights: its initial weights.
        preset: name of the preset.
        training: the meta-training in words; empty without one.
        settings: settings of the head and the learner, as JSON.
    """

    name: str
    backbone: str
    weights: str
    preset: str
    training: str
    settings: str


class Group:
    """Records of several methods on identical tasks, the most accurate first.

    Args:
        records: of the same pool and the same tasks.

    Raises:
        UserError: if the tasks of two records are not identical.
    """

    def __init__(self, records: Iterable[EpisodesRecord]) -> None:
        self.records = sorted(records, key=lambda record: (-record.accuracy.mean, record.run_id))
        first = self.records[0]
        for record in self.records:
            if (pool_of(record), record.tasks_hash) != (pool_of(first), first.tasks_hash):
                raise UserError(
                    f"runs {first.run_id} ({first.name}) and {record.run_id} ({record.name}) have "
                    "different tasks, so their difference is not paired: evaluate both with the "
                    "same data, split, ways, shots, queries, tasks and seed."
                )

    @property
    def tasks(self) -> TaskSettings:
        """The settings of the tasks."""
        return self.records[0].tasks

    @property
    def n_tasks(self) -> int:
        """The number of tasks."""
        return len(self.records[0].correct)

    @cached_property
    def pairs(self) -> AllPairs:
        """The tests of all pairs of records, with one correction for all of them."""
        return AllPairs([[dict(enumerate(one.accuracies.tolist())) for one in self.records]])

    def difference(self, first: int, second: int) -> Difference:
        """Return one record minus another by their positions, with the corrected p-value."""
        return self.pairs.difference(first, second)

    @cached_property
    def winners(self) -> set[int]:
        """The positions of records that are better than every other one of their kind."""
        positions = set()
        for transductive in KINDS:
            kind = [
                position
                for position, record in enumerate(self.records)
                if record.transductive == transductive
            ]
            leads = [self.difference(kind[0], other) for other in kind[1:]]
            if leads and all(lead.is_clear_lead for lead in leads):
                positions.add(kind[0])
        return positions


def pool_of(record: EpisodesRecord) -> Pool:
    """Return the images that the tasks of a record are sampled from."""
    data = Path(record.data).name
    fingerprint = record.provenance.data_fingerprint or ""
    return Pool(data, fingerprint, record.split, record.part, tuple(record.classes))


def system_of(record: EpisodesRecord) -> System:
    """Return what ran, apart from the tasks."""
    settings = {section: record.config.get(section) or {} for section in SETTINGS_OF_METHOD}
    return System(
        record.name,
        record.backbone,
        record.weights,
        record.preset,
        training(record),
        json.dumps(settings, sort_keys=True),
    )


def by_tasks(records: Iterable[EpisodesRecord]) -> dict[Pool, list[Group]]:
    """Return groups of identical tasks by pool, by rising shots and ways, balanced ones first."""
    members: dict[tuple[Pool, str], dict[str, EpisodesRecord]] = {}
    for record in records:  # the same run may be in two folders
        key = pool_of(record), record.tasks_hash
        members.setdefault(key, {})[record.run_id] = record
    pools: dict[Pool, list[Group]] = {}
    for (pool, _), some in sorted(members.items(), key=lambda item: item[0][0].title):
        pools.setdefault(pool, []).append(Group(some.values()))
    return {pool: sorted(groups, key=_order) for pool, groups in pools.items()}


def _order(group: Group) -> tuple[bool, int, int, str, str]:
    tasks = group.tasks
    return (
        tasks.sampler in SHAPES,
        tasks.ways,
        tasks.shots,
        tasks.balance,
        group.records[0].tasks_hash,
    )


def balance(tasks: TaskSettings) -> str:
    """Return in words how queries are divided among the classes of a task."""
    if tasks.balance == "dirichlet":
        return f"Dirichlet queries (a = {tasks.concentration:g})"
    if tasks.balance == "missing":
        return f"{tasks.missing} of {tasks.ways} classes without queries"
    return "balanced queries"


def shape(tasks: TaskSettings) -> str:
    """Return the shape of the tasks in words, for example "5-way 1-shot, balanced queries"."""
    if tasks.sampler in SHAPES:
        return SHAPES[tasks.sampler]
    return f"{tasks.ways}-way {tasks.shots}-shot, {balance(tasks)}"


def network(record: EpisodesRecord) -> str:
    """Return the network of a record and its initial weights."""
    words = {"none": "random weights", "pretrained": "pretrained weights", "": ""}
    weights = words.get(record.weights, f"weights {Path(record.weights).name}")
    return ", ".join(filter(None, [record.backbone, weights]))


def training(record: EpisodesRecord) -> str:
    """Return the meta-training of a record in words; empty without one."""
    one = record.training
    if one is None:
        return ""
    base = formatting.joined([Path(name).name for name in one.base])
    steps = f"{one.steps:,} steps"
    if one.best_step is not None and one.best_step != one.steps:
        steps = f"{one.best_step:,} of {steps}"
    learner = "" if record.name.startswith(one.method) else f"{one.method}, "
    return f"{learner}{one.n_classes:,} classes of {base}, {steps}, seed {one.seed}"


def labels(records: Sequence[EpisodesRecord]) -> list[str]:
    """Return a name for each record: what ran, and in what it differs from records of that name."""
    return [_label(record, records) for record in records]


def _label(record: EpisodesRecord, records: Sequence[EpisodesRecord]) -> str:
    parts = [record.name]
    same = [other for other in records if other.name == record.name]
    shared = set.intersection(*map(_settings, same))

    def settings(one: EpisodesRecord) -> str:
        return " ".join(sorted(_settings(one) - shared)) or "default settings"

    for describe in (network, _trained, settings, _run):
        text = describe(record)
        if any(describe(other) != text for other in same):
            parts.append(text)
            same = [other for other in same if describe(other) == text]
    return ", ".join(parts)


def _trained(record: EpisodesRecord) -> str:
    return training(record) or "not trained"


def _run(record: EpisodesRecord) -> str:
    return record.run_id


def _settings(record: EpisodesRecord) -> set[str]:
    """Return the settings of the head and the learner of a record, for example "features=UN"."""
    sections = [record.config.get(section) or {} for section in SETTINGS_OF_METHOD]
    return {f"{key}={value}" for section in sections for key, value in section.items()}
