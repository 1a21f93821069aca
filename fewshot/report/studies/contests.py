"""Every measured system of several studies, in contests at equal numbers of labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fewshot.evaluation.paired_tests import AllPairs, Difference, comparable_means
from fewshot.report import formatting
from fewshot.report.studies.results import Study
from fewshot.runs import naming
from fewshot.runs.run_record import RunRecord

FROZEN = "a classifier on frozen features"
TRAINED = "training a pretrained network"
RANDOM = "training from random weights"
VOTE = "a vote of several networks"
KINDS = (FROZEN, TRAINED, RANDOM, VOTE)
HOW = (
    "Every system of a study competes with its best setting. Settings are ordered by paired "
    "differences over common trials, because one with few trials may have had easy labelled "
    "images. A single trial does not compete with several. A system that was measured at scale "
    "small, with fewer epochs or images than its report, may reach more at scale full."
)
HOW_SURE = (
    "A lead is certain if a paired t-test over at least three common trials shows it at 5%, "
    "corrected (Holm) for all pairs of settings with the same number of labels. The accuracy of "
    "the best of many settings is too optimistic, because the test images have chosen it."
)


class Entry(NamedTuple):
    """A measured system.

    where: the row and study, or the other records that it is from. preset: in its name; of a study
    a usual one, since presets may have the name of another network.
    """

    where: str
    record: RunRecord
    preset: str = naming.DEFAULT_PRESETS[0]

    @property
    def method(self) -> str:
        """What ran, without its network; an untrained learner by the classifier that it is."""
        method, config = self.record.method, self.record.config_as_run
        if naming.lacks_training(method, config):
            classifier = naming.untrained_classifier(method, config)
            if classifier:
                return f"{classifier} ({method}, not trained)"
        trained_on = naming.training_images(method, config)
        name = naming.in_short(method, self.preset, config)
        if method == "scratch" and self.record.weights != "none":
            name = "a head" if self.kind == FROZEN else "all layers"
            name += " trained by cross-entropy"
        return f"{name}, trained on {trained_on}" if trained_on else name

    @property
    def network(self) -> str:
        """The network and its initial weights."""
        return f"{self.record.backbone}, {formatting.initial_weights(self.record)}"

    @property
    def name(self) -> str:
        """The method and its network in a sentence."""
        return f"{self.method} on {self.network}"

    def name_beside(self, other: Entry) -> str:
        """Return the name; a network that the other one has too is left out."""
        return self.method if self.network == other.network else self.name

    @property
    def kind(self) -> str:
        """The kind of method, one of KINDS."""
        record = self.record
        if record.members is not None:
            return VOTE
        if record.weights == "none":
            return RANDOM
        train = record.config_as_run.get("train")
        phases = (train or {}).get("phases") or []
        only_head = bool(phases) and all(phase["trainable"] == "head" for phase in phases)
        return FROZEN if train is None or only_head else TRAINED

    @property
    def labels(self) -> float:
        """Labels per class, as a mean over the classes."""
        return self.record.labels / len(self.record.classes)


class Standing(NamedTuple):
    """A system in its best setting, and how far the best system of all is ahead of it."""

    entry: Entry
    lead: Difference

    @property
    def mean(self) -> float:
        return self.entry.record.scores["accuracy"].mean


class Contest(NamedTuple):
    """The systems that were measured with one number of labels per class, the best first.

    single: the best one of a single trial, if its accuracy is above that of all that compete.
    """

    data: str
    images: str
    labels: float
    standings: list[Standing]
    single: Entry | None = None

    @property
    def best(self) -> Entry:
        return self.standings[0].entry

    @property
    def others(self) -> list[Standing]:
        return self.standings[1:]

    @property
    def n_trials(self) -> int:
        """The number of trials of all systems."""
        return sum(len(one.entry.record.seeds) for one in self.standings)

    @property
    def n_worse(self) -> int:
        """The number of systems that are certainly worse than the best."""
        return sum(one.lead.is_clear_lead for one in self.others)

    @property
    def by_kind(self) -> dict[str, Standing]:
        """The best system of each kind, the kind of the best first."""
        kinds: dict[str, Standing] = {}
        for one in self.standings:
            kinds.setdefault(one.entry.kind, one)
        return kinds


def entries(studies: Sequence[Study], others: Mapping[str, Sequence[RunRecord]]) -> list[Entry]:
    """Return every measured system once: those of the studies, and other records by folder.

    Of several records of one run, the one with the most trials counts.
    """
    every = [
        Entry(f"records/{folder}", record, record.preset)
        for folder, some in others.items()
        for record in some
    ]
    every += [
        Entry(f"{row.name} of {study.name}", cell.measured)
        for study in studies
        for row in study.rows
        for cell in row.scored
    ]
    by_run: dict[str, Entry] = {}
    for entry in every:
        known = by_run.setdefault(entry.record.run_id, entry)
        if len(entry.record.seeds) > len(known.record.seeds):
            by_run[entry.record.run_id] = entry
    return list(by_run.values())


def contests(some: Iterable[Entry]) -> list[Contest]:
    """Return the systems by images and rising number of labels per class."""
    groups: dict[tuple[str, str, float], list[Entry]] = {}
    for entry in some:
        record = entry.record
        if record.labels and not record.class_shots:
            key = Path(record.data).name, record.images, entry.labels
            groups.setdefault(key, []).append(entry)
    return [_contest(*key, group) for key, group in sorted(groups.items(), key=lambda one: one[0])]


def _contest(data: str, images: str, labels: float, every: Sequence[Entry]) -> Contest:
    group = _competitors(every)
    trials = [entry.record.by_seed() for entry in group]
    means = comparable_means(trials)
    order = sorted(range(len(group)), key=lambda index: -means[index])
    pairs = AllPairs([trials])
    systems: dict[str, Standing] = {}
    for index in order:
        lead = pairs.difference(order[0], index)
        systems.setdefault(group[index].name, Standing(group[index], lead))
    singles = [entry for entry in every if len(entry.record.seeds) == 1]
    single = max(singles, key=_accuracy, default=None)
    if single is not None and _accuracy(single) <= max(map(_accuracy, group)):
        single = None
    return Contest(data, images, labels, list(systems.values()), single)


def _accuracy(entry: Entry) -> float:
    return entry.record.scores["accuracy"].mean


def _competitors(group: Sequence[Entry]) -> list[Entry]:
    """Return the settings that compete: those of several trials, if there are any."""
    return [entry for entry in group if len(entry.record.seeds) > 1] or list(group)
