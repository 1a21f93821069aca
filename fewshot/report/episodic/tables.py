"""Tables of the episodic regime: accuracy, paired differences, and the change with the queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fewshot.evaluation import paired_tests, task_scores
from fewshot.evaluation.paired_tests import Difference, holm_corrected
from fewshot.report import formatting
from fewshot.report.episodic import groups
from fewshot.report.episodic.groups import KINDS, Group, Pool
from fewshot.report.formatting import Cell, Table, number
from fewshot.runs.episodic.record import EpisodesRecord

MOST_NAMED = 3  # methods with the same warning that are named; more are counted
HOW_TO_READ = (
    "Accuracy in percent: mean over tasks ± half of its 95% interval, which is for other tasks of "
    "the same images. Without replacement: over tasks of which no two have an image in common, so "
    "that the interval is for other images too. A transductive method sees all queries of a task "
    "at once; the prediction of an inductive one does not depend on the other queries. Differences "
    "are in percentage points and paired over identical tasks. p-values are corrected by Holm's "
    "method for all pairs of a table. Bold: better than every other row of its kind, inductive or "
    "transductive (5%); no row is bold where the tasks cannot show that. Seconds: evaluation of "
    "all tasks, also those without replacement, which tasks/s counts too; without features and "
    "training."
)


class Change(NamedTuple):
    """The accuracy of one method on balanced tasks and on others, and the difference.

    Attributes:
        label: what ran.
        transductive: whether it sees all queries at once.
        balanced: its record on balanced tasks.
        other: its record on tasks with unequal queries.
        difference: the accuracy on the others minus that on balanced tasks, paired over tasks with
            the same classes and the same support.
    """

    label: str
    transductive: bool
    balanced: EpisodesRecord
    other: EpisodesRecord
    difference: Difference

    @property
    def by_task(self) -> np.ndarray:
        """The change of each task, float64 [t]."""
        return self.other.accuracies - self.balanced.accuracies


def accuracy(group: Group, pool: Pool | None = None) -> Table:
    """Return the accuracy of every method on the tasks of a group, the best first.

    Args:
        group: the records.
        pool: the images, for the caption of a table that stands among those of other images.
    """
    names = groups.labels(group.records)
    rows = [
        _row(record, name, position in group.winners)
        for position, (record, name) in enumerate(zip(group.records, names, strict=True))
    ]
    notes = _notes(group.records, names)
    networks = list(dict.fromkeys(map(groups.network, group.records)))
    if len(networks) == 1:
        notes.insert(0, ("network", networks[0]))
        for row in rows:
            row["network"] = Cell()
    columns = [name for name in rows[0] if any(row[name].text for row in rows)]
    cells = [[row[name] for name in columns] for row in rows]
    return Table(caption(group, pool), columns, cells, notes)


def caption(group: Group, pool: Pool | None = None) -> str:
    """Return what the rows of a table share: shape of the tasks, their number and seed."""
    tasks = group.tasks
    images = "" if pool is None else f"{pool.title}: "
    queries = "" if tasks.sampler in groups.SHAPES else f"{_queries(group)} queries per class, "
    text = f"{images}{groups.shape(tasks)}, {queries}{formatting.counted(group.n_tasks, 'task')}"
    return text if tasks.sampler == "superclasses" else f"{text}, seed {tasks.seed}"


def _queries(group: Group) -> str:
    mean = "" if group.tasks.balance == "balanced" else "on average "
    return f"{mean}{group.tasks.queries}"


def _row(record: EpisodesRecord, name: str, is_winner: bool) -> dict[str, Cell]:
    apart = record.without_replacement
    features = record.cost.feature_seconds
    return {
        "method": Cell(name),
        "kind": Cell(KINDS[record.transductive]),
        "network": Cell(groups.network(record)),
        "training": Cell(groups.training(record)),
        "accuracy ± 95%": Cell(record.accuracy.text(), record.accuracy.mean, is_winner),
        "without replacement ± 95%": Cell()
        if apart is None
        else Cell(f"{apart.text()} (n = {apart.n})", apart.mean),
        "tasks": number(len(record.correct), ",d"),
        "seconds": number(record.cost.evaluation_seconds, ".1f"),
        "tasks/s": number(record.tasks_per_second, ",.0f"),
        "features (s)": Cell() if not features else number(features, ".1f"),
        "training (s)": number(record.cost.train_seconds, ",.0f") if record.training else Cell(),
        "run": Cell(record.run_id),
    }


def points(difference: Difference) -> str:
    """Return a difference in percentage points with two decimals, for example "-3.31 ± 0.92"."""
    half = None if difference.half is None else 100 * difference.half
    mean = round(100 * difference.mean, 2) + 0.0  # no "-0.00"
    return f"{mean:+.2f}{formatting.plus_minus(half, '.2f')}"


def p_cell(p: float) -> Cell:
    """Return a p-value without its letter."""
    return Cell(formatting.p_value(p).removeprefix("p ").removeprefix("= "), p)


def _notes(records: Sequence[EpisodesRecord], names: Sequence[str]) -> list[tuple[str, str]]:
    """Return remarks on the data, and the warnings of the runs with the methods they belong to."""
    notes = [("data", note) for record in records for note in record.data_notes]
    methods: dict[str, list[str]] = {}
    for record, name in zip(records, names, strict=True):
        for warning in record.warnings:
            methods.setdefault(warning, []).append(name)
    for warning, some in methods.items():
        subject = "; ".join(some)
        if len(some) == len(records) > 1:
            subject = "all methods"
        elif len(some) > MOST_NAMED:
            subject = f"{len(some)} of {len(records)} methods"
        notes.append((subject, warning))
    precisions = {(record.provenance.compute or {}).get("precision") for record in records}
    if len(precisions - {None}) > 1:
        words = formatting.joined(sorted(filter(None, precisions)))
        notes.append(("precision", f"the networks computed in {words}, which differ a little"))
    return list(dict.fromkeys(notes))


def differences(group: Group, pool: Pool | None = None) -> Table | None:
    """Return the paired differences to the best method and to the next better one.

    Returns:
        The table, in the order of the accuracies; None for a single method.
    """
    if len(group.records) < 2:
        return None
    rows = []
    for position, name in enumerate(groups.labels(group.records)):
        cells = [Cell(name)]
        for other in (0, position - 1):
            cells += _difference(group, position, other) if position else [Cell(), Cell()]
        rows.append(cells)
    title = f"Paired differences: {caption(group, pool)}"
    if group.pairs.comparisons > 1:
        title += f"; p-values are corrected for all {group.pairs.comparisons} pairs"
    columns = ["method", "minus the best ± 95%", "p", "minus the row above ± 95%", "p, row above"]
    return Table(title, columns, rows, [])


def _difference(group: Group, first: int, second: int) -> list[Cell]:
    difference = group.difference(first, second)
    p = Cell() if difference.p is None else p_cell(difference.p)
    return [Cell(points(difference), difference.mean), p]


def changes(some: Sequence[Group]) -> list[tuple[Group, Group, list[Change]]]:
    """Return how accuracy changes from balanced to unequal queries, by shape of the tasks.

    Args:
        some: groups of one pool.

    Returns:
        For each pair of groups that differ in their queries alone: the balanced group, the other
        one, and the change of each method that is in both, the largest fall first.
    """
    result = []
    for balanced in some:
        for other in some:
            if balanced.tasks.balance != "balanced" or other.tasks.balance == "balanced":
                continue
            if _same_but_balance(balanced, other):
                rows = _changes(balanced, other)
                if rows:
                    result.append((balanced, other, rows))
    return result


def _same_but_balance(first: Group, second: Group) -> bool:
    # The sampler of fixed tasks then gives the same classes and supports (episodes.tasks.sampling).
    names = ("sampler", "file", "ways", "shots", "queries", "count", "seed")
    sampled = first.tasks.sampler == "fixed" and first.tasks.file is None
    return sampled and all(
        getattr(first.tasks, name) == getattr(second.tasks, name) for name in names
    )


def _changes(balanced: Group, other: Group) -> list[Change]:
    before = {groups.system_of(record): record for record in balanced.records}
    names = groups.labels(other.records)
    rows = [
        Change(
            name,
            record.transductive,
            before[groups.system_of(record)],
            record,
            task_scores.paired(record.accuracies, before[groups.system_of(record)].accuracies),
        )
        for record, name in zip(other.records, names, strict=True)
        if groups.system_of(record) in before
    ]
    return sorted(rows, key=lambda row: row.difference.mean)


def beyond(one: Change, others: Sequence[Change]) -> list[Difference]:
    """Return the change of one method minus that of each other one, with corrected p-values."""
    return holm_corrected(
        [paired_tests.difference((one.by_task - other.by_task).tolist()) for other in others]
    )


def change(
    balanced: Group, other: Group, rows: Sequence[Change], pool: Pool | None = None
) -> Table:
    """Return the table of one change of the queries, the largest fall first."""
    tasks = balanced.tasks
    images = "" if pool is None else f"{pool.title}: "
    title = (
        f"{images}{tasks.ways}-way {tasks.shots}-shot, from balanced queries to "
        f"{groups.balance(other.tasks)}, the largest fall first; the change is paired over tasks "
        "with the same classes and the same support"
    )
    cells = [
        [
            Cell(row.label),
            Cell(KINDS[row.transductive]),
            Cell(row.balanced.accuracy.text(), row.balanced.accuracy.mean),
            Cell(row.other.accuracy.text(), row.other.accuracy.mean),
            Cell(points(row.difference), row.difference.mean),
        ]
        for row in rows
    ]
    columns = ["method", "kind", "balanced", other.tasks.balance, "change ± 95%"]
    return Table(title, columns, cells, [])
