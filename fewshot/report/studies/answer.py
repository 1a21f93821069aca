"""Which method is best at each number of labels, over all studies of a page, and how surely."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fewshot.evaluation.paired_tests import AllPairs, Difference, paired_difference
from fewshot.evaluation.statistics import Interval
from fewshot.report import formatting
from fewshot.report.formatting import Cell, Table, number
from fewshot.report.plots import accuracy_curves
from fewshot.report.plots.accuracy_curves import Panel
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies.pages import Question
from fewshot.report.studies.results import Study
from fewshot.runs import naming
from fewshot.runs.run_record import RunRecord

FROZEN = "a classifier on frozen features"
TRAINED = "training a pretrained network"
RANDOM = "training from random weights"
VOTE = "a vote of several networks"
KINDS = (FROZEN, TRAINED, RANDOM, VOTE)
HOW = (
    "Every system of a study competes, with its best setting. Systems are ordered by paired "
    "differences over common trials, because a system with few trials may have had easy labelled "
    "images. A single trial does not compete with several."
)
HOW_SURE = (
    "A lead is certain if a paired t-test over at least three common trials shows it at 5%, "
    "corrected (Holm) for all pairs of settings with the same number of labels. The accuracy of "
    "the best of many settings is too optimistic, because the test images have chosen it."
)
FEWEST_SYSTEMS = 4  # at a number of labels in the figure, where fewer would look like a drop


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
        method, config = self.record.method, self.record.config
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
        train = record.config.get("train")
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
    """The systems that were measured with one number of labels per class, the best first."""

    data: str
    images: str
    labels: float
    standings: list[Standing]

    @property
    def best(self) -> Entry:
        return self.standings[0].entry

    @property
    def others(self) -> list[Standing]:
        return self.standings[1:]

    @property
    def n_worse(self) -> int:
        """The number of systems that are certainly worse than the best."""
        return sum(one.lead.significant for one in self.others)

    @property
    def by_kind(self) -> dict[str, Standing]:
        """The best system of each kind, the kind of the best first."""
        kinds: dict[str, Standing] = {}
        for one in self.standings:
            kinds.setdefault(one.entry.kind, one)
        return kinds


def entries(studies: Sequence[Study], others: Iterable[RunRecord]) -> list[Entry]:
    """Return every measured system once: those of the studies, and of other records."""
    by_run: dict[str, Entry] = {}
    for record in others:
        entry = Entry("every learner", record, record.preset)
        by_run.setdefault(record.run_id, entry)
    for study in studies:
        for row in study.rows:
            for cell in row.scored:
                entry = Entry(f"{row.name} of {study.name}", cell.measured)
                by_run.setdefault(cell.measured.run_id, entry)
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


def _contest(data: str, images: str, labels: float, group: Sequence[Entry]) -> Contest:
    repeated = [entry for entry in group if len(entry.record.seeds) > 1]
    group = repeated or group
    trials = [entry.record.by_seed() for entry in group]
    means = [entry.record.scores["accuracy"].mean for entry in group]
    reference = max(range(len(group)), key=lambda index: (len(trials[index]), means[index]))
    for index, mine in enumerate(trials):
        shared = paired_difference(mine, trials[reference])
        if shared.n:
            means[index] = means[reference] + shared.mean
    order = sorted(range(len(group)), key=lambda index: -means[index])
    pairs = AllPairs([trials])
    systems: dict[str, Standing] = {}
    for index in order:
        lead = pairs.difference(order[0], index)
        systems.setdefault(group[index].name, Standing(group[index], lead))
    return Contest(data, images, labels, list(systems.values()))


def question(studies: Sequence[Study], others: Sequence[RunRecord]) -> Question | None:
    """Return which method is best at each number of labels, or None if nothing was compared."""
    every = [one for one in contests(entries(studies, others)) if len(one.standings) > 1]
    if not every:
        return None
    return Question(
        name="answer",
        title="Which method at which number of labels?",
        sentences=sentences(_most_measured(every)),
        table=table(every),
        figure=_figure(_most_measured(every)),
    )


def _most_measured(every: Sequence[Contest]) -> list[Contest]:
    """Return the contests on the images with the most numbers of labels."""
    images = [one.images for one in every]
    most = max(images, key=images.count)
    return [one for one in every if one.images == most]


def sentences(some: Sequence[Contest]) -> list[str]:
    """Return the short answer: the range of accuracies, the kinds of methods, and how sure."""
    named = {one.labels: one for one in (some[0], some[len(some) // 2], some[-1])}
    best = " ".join(f"With {_best(one)}" for one in named.values())
    return [
        f"These systems are the best on {some[0].data}. {best}",
        *_further_training(some),
        *_pretrained(some),
        _certainty(some),
    ]


def _best(contest: Contest) -> str:
    accuracy = contest.best.record.scores["accuracy"]
    return (
        f"{_labels(contest.labels)}, {contest.best.name} reaches {formatting.interval(accuracy)} "
        f"(n = {accuracy.n})."
    )


def _labels(labels: float) -> str:
    return formatting.counted(labels, "label") + " per class"


class Lead(NamedTuple):
    """How far the best system is ahead of the best one of another kind."""

    contest: Contest
    over: Difference

    def __str__(self) -> str:
        return f"{self.over} with {_labels(self.contest.labels)}"


def _leads(some: Sequence[Contest], ahead: Sequence[str], behind: str) -> list[Lead]:
    """Return the leads where the best system is of a kind in `ahead`, over the kind `behind`."""
    leads = []
    for contest in some:
        other = contest.by_kind.get(behind)
        if contest.best.kind in ahead and other is not None and other.lead.n:
            leads.append(Lead(contest, other.lead))
    return leads


def _further_training(some: Sequence[Contest]) -> list[str]:
    """Return at how many labels it pays to train a pretrained network further."""
    trained, frozen = _leads(some, [TRAINED], FROZEN), _leads(some, [FROZEN], TRAINED)
    words = []
    for kind, other, leads in ((TRAINED, FROZEN, trained), (FROZEN, TRAINED, frozen)):
        sure = [one for one in leads if one.over.significant]
        if sure:
            words.append(
                f"{formatting.sentence_case(kind)} is certainly better than {other} in its best "
                f"setting: by {formatting.joined([str(one) for one in sure])}."
            )
    unsure = sorted(one.contest.labels for one in (*trained, *frozen) if not one.over.significant)
    if unsure:
        numbers = formatting.joined([f"{labels:,g}" for labels in unsure])
        noun = "label" if unsure == [1.0] else "labels"
        words.append(f"With {numbers} {noun} per class, the trials do not separate these two.")
        if len(words) == 1:
            words[0] = words[0].replace("these two", f"{TRAINED} and {FROZEN}")
    return words


def _pretrained(some: Sequence[Contest]) -> list[str]:
    """Return how far the best pretrained system is ahead of the best one from random weights."""
    leads = _leads(some, [kind for kind in KINDS if kind != RANDOM], RANDOM)
    if not leads:
        return []
    certain = sum(one.over.significant for one in leads)
    ends = list(dict.fromkeys(str(one) for one in (leads[0], leads[-1])))
    return [
        f"The best system from pretrained weights is ahead of the best one from random weights by "
        f"{formatting.joined(ends)}. This lead is certain at {certain} of "
        f"{formatting.counted(len(leads), 'number')} of labels."
    ]


def _certainty(some: Sequence[Contest]) -> str:
    sure = sum(one.n_worse == len(one.others) for one in some)
    return (
        f"The best system is certainly better than every other one at {sure or 'none'} of "
        f"{formatting.counted(len(some), 'number')} of labels; of the others, the table shows how "
        "many it is certainly better than."
    )


def table(every: Sequence[Contest]) -> Table:
    """Return the best system at each number of labels, its lead, and how sure it is."""
    several = len({one.images for one in every}) > 1
    columns = ["images"] if several else []
    columns += ["labels per class", "best system", "accuracy", "n", "second", "lead"]
    columns += ["certainly better than", "measured in"]
    rows = []
    for one in every:
        score, second = one.best.record.scores["accuracy"], one.others[0]
        rows.append(
            [
                *([Cell(one.data)] if several else []),
                number(one.labels, ",g"),
                Cell(one.best.name),
                Cell(formatting.interval(score), score.mean),
                number(score.n, "d"),
                Cell(second.entry.name_beside(one.best)),
                Cell(str(second.lead), second.lead.mean) if second.lead.n else Cell("not paired"),
                Cell(f"{one.n_worse} of {len(one.others)}", one.n_worse / len(one.others)),
                Cell(one.best.where),
            ]
        )
    caption = "The best system at each number of labels per class"
    on = "" if several else f" of {every[0].data}"
    return Table(caption + on, columns, rows, [("compared", HOW), ("certain", HOW_SURE)])


def _figure(some: Sequence[Contest]) -> Figure | None:
    """Return accuracy against the number of labels, of the best system of each kind."""
    by_kind: dict[str, dict[float, Entry]] = {}
    for contest in some:
        if len(contest.standings) < FEWEST_SYSTEMS:
            continue
        for kind, one in contest.by_kind.items():
            by_kind.setdefault(kind, {})[contest.labels] = one.entry
    lines, rows = [], []
    for kind in KINDS:
        best = by_kind.get(kind, {})
        if len(best) < 2:
            continue
        records = {labels: entry.record for labels, entry in best.items()}
        line = accuracy_curves.line_of(formatting.sentence_case(kind), records)
        lines.append(line)
        for labels, interval in zip(line.budgets, line.intervals, strict=True):
            entry = best[labels]
            mean = entry.record.scores["accuracy"].mean
            cells = [number(labels, ",g"), number(100 * mean, ".2f"), _percent(interval)]
            rows.append([Cell(kind), *cells, Cell(entry.name)])
    if not lines:
        return None
    columns = ["kind of method", "labels per class", "accuracy", "95% interval", "system"]
    alt = (
        f"Accuracy on {some[0].data} against the labels per class: the best system of each of "
        f"{len(lines)} kinds of methods, with 95% intervals over trials. Numbers of labels with "
        f"fewer than {FEWEST_SYSTEMS} systems are left out."
    )
    return Figure(
        name="methods",
        title="The best system of each kind of method, by the number of labels",
        alt=alt,
        table=Table("accuracy in percent", columns, rows, []),
        save=partial(accuracy_curves.save, Panel(some[0].data, "shots", lines, [])),
    )


def _percent(interval: Interval) -> Cell:
    low, high = interval
    return Cell(interval.text(".2f", 100), low) if low < high else Cell()
