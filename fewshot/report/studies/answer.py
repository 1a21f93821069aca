"""Which method is best at each number of labels, over all studies of a page, and how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from fewshot.evaluation.paired_tests import Difference
from fewshot.evaluation.statistics import Interval
from fewshot.report import formatting
from fewshot.report.formatting import Cell, Table, number
from fewshot.report.plots import accuracy_curves
from fewshot.report.plots.accuracy_curves import Panel
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies.contests import (
    FROZEN,
    HOW,
    HOW_SURE,
    KINDS,
    RANDOM,
    TRAINED,
    Contest,
    Entry,
    contests,
    entries,
)
from fewshot.report.studies.pages import Question
from fewshot.report.studies.results import Study
from fewshot.runs.run_record import RunRecord

PRETRAINED = "was pretrained on"  # of the warning that a network knew classes of the data
FEWEST_SYSTEMS = 4  # at a number of labels; the best of fewer would look like a drop


def question(
    studies: Sequence[Study], others: Mapping[str, Sequence[RunRecord]]
) -> Question | None:
    """Return which method is best at each number of labels, or None if nothing was compared."""
    return question_of(contests(entries(studies, others)))


def question_of(every: Sequence[Contest]) -> Question | None:
    """Return which system wins each contest of several systems, or None without such a contest."""
    compared = [one for one in every if len(one.standings) > 1]
    if not compared:
        return None
    many = [one for one in compared if _has_many(one)]
    shown = many or compared
    few = [one for one in compared if many and not _has_many(one)]
    return Question(
        name="answer",
        title="Which method at which number of labels?",
        sentences=sentences(_most_measured(shown)),
        table=table(shown, few),
        figure=_figure(_most_measured(shown)),
    )


def _has_many(contest: Contest) -> bool:
    return len(contest.standings) >= FEWEST_SYSTEMS


def _most_measured(every: Sequence[Contest]) -> list[Contest]:
    """Return the contests on the images with the most numbers of labels."""
    images = [one.images for one in every]
    most = max(images, key=images.count)
    return [one for one in every if one.images == most]


def sentences(some: Sequence[Contest]) -> list[str]:
    """Return the short answer: the range of accuracies, the kinds of methods, and how sure."""
    most = max(some, key=lambda one: one.n_trials)
    named = {one.labels: one for one in (some[0], most, some[-1])}
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
        return f"{str(self.over).lstrip('+')} with {_labels(self.contest.labels)}"


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
        sure = [one for one in leads if one.over.is_clear_lead]
        if sure:
            words.append(
                f"{formatting.sentence_case(kind)} is certainly better than {other} in its best "
                f"setting: by {formatting.joined([str(one) for one in sure])}."
            )
    unsure = sorted(one.contest.labels for one in (*trained, *frozen) if not one.over.is_clear_lead)
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
    words = []
    if leads:
        certain = sum(one.over.is_clear_lead for one in leads)
        ends = list(dict.fromkeys(str(one) for one in (leads[0], leads[-1])))
        words.append(
            "The best system from pretrained weights is ahead of the best one from random weights "
            f"by {formatting.joined(ends)}. This lead is certain at {certain} of "
            f"{formatting.counted(len(leads), 'number')} of labels."
        )
    for contest in some:
        behind = next((one for kind, one in contest.by_kind.items() if kind != RANDOM), None)
        if contest.best.kind == RANDOM and behind is not None and behind.lead.n:
            sure = "certain" if behind.lead.is_clear_lead else "not certain"
            words.append(
                "The best system from random weights is ahead of the best one from pretrained "
                f"weights ({behind.entry.kind}) by {Lead(contest, behind.lead)}, which is {sure}."
            )
    return words


def _certainty(some: Sequence[Contest]) -> str:
    sure = sum(one.n_worse == len(one.others) for one in some)
    return (
        f"The best system is certainly better than every other one at {sure or 'none'} of "
        f"{formatting.counted(len(some), 'number')} of labels; of the others, the table shows how "
        "many it is certainly better than."
    )


def table(every: Sequence[Contest], left_out: Sequence[Contest] = ()) -> Table:
    """Return the best system at each number of labels, its lead, and how sure it is.

    Args:
        every: what to show.
        left_out: numbers of labels to name in a note.
    """
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
    notes = [("compared", HOW), ("certain", HOW_SURE), *_notes(every)]
    singles = [
        f"{one.single.name} {_accuracy(one.single)} with {_labels(one.labels)}"
        for one in every
        if one.single is not None
    ]
    if singles:
        words = "a higher accuracy, of a single trial that does not compete: "
        notes.append(("single trials", words + formatting.joined(singles)))
    if left_out:
        places = formatting.joined([f"{_labels(one.labels)} of {one.data}" for one in left_out])
        why = f"where fewer than {FEWEST_SYSTEMS} systems were measured"
        notes.append(("left out", f"{places}, {why}"))
    return Table(caption + on, columns, rows, notes)


def _accuracy(entry: Entry) -> str:
    return f"{entry.record.scores['accuracy'].mean:.4f}"


def _notes(every: Sequence[Contest]) -> list[tuple[str, str]]:
    """Return what a reader must know about the images and the networks of the best systems.

    What one record says about the images or the pretraining holds wherever both are the same:
    earlier versions did not record it.
    """
    of_images: dict[str, list[str]] = {}
    of_network: dict[str, list[str]] = {}
    for one in every:
        of_images.setdefault(one.images, []).extend(formatting.data_notes_of(one.best.record))
        known = [text for text in formatting.warnings_of(one.best.record) if PRETRAINED in text]
        of_network.setdefault(one.best.network, []).extend(known)
    labels: dict[str, list[str]] = {}
    for one in every:
        notes = [*of_images[one.images], *of_network[one.best.network]]
        for note in dict.fromkeys([*notes, *formatting.warnings_of(one.best.record)]):
            labels.setdefault(note, []).append(f"{one.labels:,g}")
    return [
        ("all" if len(some) == len(every) else f"{formatting.joined(some)} per class", note)
        for note, some in labels.items()
    ]


def _figure(some: Sequence[Contest]) -> Figure | None:
    """Return accuracy against the number of labels, of the best system of each kind."""
    by_kind: dict[str, dict[float, Entry]] = {}
    for contest in some:
        if not _has_many(contest):
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
