"""Measured accuracies beside the numbers that the report states, in sentences.

A stated number counts once. Where it belongs to several settings, all of them must exceed it.
Numbers that were measured at scale small are counted apart from those at scale full, and those of
another network in the report's place apart from both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fewshot.evaluation.paired_tests import Difference, difference
from fewshot.report import formatting
from fewshot.report.formatting import Finding, as_stated
from fewshot.report.studies import results
from fewshot.report.studies.results import CellResult, RowResult, Study
from fewshot.studies import grids
from fewshot.studies.schema import SCALES, Row

MOST_MISSED = 5  # reported numbers that were not reached, named one by one
METRICS = {"accuracy": "", "validation_accuracy": " on validation images"}
COUNTED = (
    "Every accuracy that the report states counts once. If it holds for several settings, all of "
    "them must exceed it."
)
STAND_IN = "with another network in the place of the report's"
NONE_MEASURED = "No reported accuracy has a measured one beside it yet."


class Against(NamedTuple):
    """A measured cell beside a reported number; difference: measured minus reported."""

    row: str
    label: str
    metric: str
    reported: float
    difference: Difference
    cell: CellResult

    @property
    def sure(self) -> bool:
        """Whether the interval of the measured mean excludes the reported number."""
        half = self.difference.half
        return half is not None and abs(self.difference.mean) > half

    def __str__(self) -> str:
        measured = f"{self.reported + self.difference.mean:.4f}{METRICS[self.metric]}"
        uncertain = not self.sure and self.difference.half is not None
        inside = ", within the interval" if uncertain else ""
        return (
            f'{self.row} "{self.label}": {measured} against {as_stated(self.reported)} '
            f"({self.difference}{inside})"
        )


class Stated(NamedTuple):
    """A number that the report states for a row, and its measured cells, the lowest first."""

    row: str
    metric: str
    number: float
    measured: list[Against]

    @property
    def lowest(self) -> Against:
        """The cell that decides whether the number was exceeded."""
        return self.measured[0]

    @property
    def exceeded(self) -> bool:
        """Whether the mean of every cell is at least the number."""
        return self.lowest.difference.mean >= 0

    @property
    def stand_in(self) -> str:
        """What took the place of the report's network, in words; empty if nothing did."""
        return self.lowest.cell.stand_in

    @property
    def scale(self) -> str:
        """The lowest scale among the measured cells."""
        return min((one.cell.scale for one in self.measured), key=SCALES.index)


class Counts(NamedTuple):
    """The stated numbers that were exceeded and those that were not, measured in one way.

    how: at which scale, or that another network took the place of the report's, in words.
    """

    how: str
    above: list[Stated]
    below: list[Stated]

    @property
    def every(self) -> list[Stated]:
        return [*self.above, *self.below]

    def __str__(self) -> str:
        return f"{len(self.above)} of {len(self.every)}"


def stated(study: Study) -> list[Stated]:
    """Return every reported test or validation accuracy that has measured cells, once."""
    numbers: dict[tuple[str, str, str], list[Against]] = {}
    for row in study.rows:
        for cell in row.scored:
            for metric in METRICS:
                score, number = results.score(cell.measured, metric), cell.reported.get(metric)
                source = _source(row.row, cell, metric)
                if score is None or number is None or source is None:
                    continue
                lead = difference([value - number for value in score.values])
                one = Against(row.name, cell.shown, metric, number, lead, cell)
                numbers.setdefault((row.name, metric, source), []).append(one)
    return [
        Stated(row, metric, some[0].reported, sorted(some, key=lambda one: one.difference.mean))
        for (row, metric, _), some in numbers.items()
    ]


def _source(row: Row, cell: CellResult, metric: str) -> str | None:
    """Return which statement of the row a cell's number is from; None if another row counts it."""
    if row.explains is not None:
        return None
    source: str | None = cell.name
    for index, numbers in enumerate(row.reported):
        at = {axis: (value,) for axis, value in numbers.at.items()}
        if metric in numbers.numbers() and grids.has_values(cell.values, at):
            source = f"statement {index}" if numbers.counted else None
    return source


def split(numbers: Iterable[Stated], how: str = "") -> Counts:
    """Return the numbers that were exceeded, and the others."""
    numbers = list(numbers)
    above = [one for one in numbers if one.exceeded]
    return Counts(how, above, [one for one in numbers if not one.exceeded])


class ByKind(NamedTuple):
    """The counts of a study: with the report's network at scale full and small, and stand-ins."""

    full: Counts
    small: Counts
    stand_ins: Counts

    @property
    def measured(self) -> list[Counts]:
        """Those that are not empty."""
        return [counts for counts in self if counts.every]


def by_kind(study: Study) -> ByKind:
    """Return the counts at scale full, at scale small, and of stand-ins at both."""
    numbers = stated(study)
    own = [one for one in numbers if not one.stand_in]
    return ByKind(
        split((one for one in own if one.scale == "full"), "at scale full"),
        split((one for one in own if one.scale == "small"), "at scale small"),
        split((one for one in numbers if one.stand_in), STAND_IN),
    )


def in_brief(study: Study) -> list[str]:
    """Return how many reported accuracies were exceeded: in which rows, at which scale, by what."""
    counts = by_kind(study).measured
    if not counts:
        return [NONE_MEASURED] if study.repeats else []
    words = [_exceeded(one) for one in counts]
    missed = {one.row for some in counts for one in some.below if one.scale == "small"}
    if any(row.cuts("small") for row in study.rows if row.name in missed):
        words.append(
            "Scale small uses fewer images, fewer epochs or smaller networks than the report, so "
            "a number that was not reached there says little."
        )
    return words


def _exceeded(counts: Counts) -> str:
    """Return how many of some numbers were exceeded, and in which rows they were not reached."""
    if len(counts.every) == 1:
        verb = "was exceeded" if counts.above else "was not reached"
        return f"One reported accuracy {verb} {counts.how}{_rows(counts.every, counts)}."
    many = f"{len(counts.above) or 'None'} of {len(counts.every)}"
    words = f"{many} reported accuracies were exceeded {counts.how}{_rows(counts.above, counts)}."
    if counts.below:
        verb = "was" if len(counts.below) == 1 else "were"
        words += f" {len(counts.below)} {verb} not reached{_rows(counts.below, counts)}."
    return words


def _rows(some: Sequence[Stated], counts: Counts) -> str:
    """Return the rows of some numbers, with their share if it is not all: ": K7 (1 of 7), K8"."""
    names = []
    for row in dict.fromkeys(one.row for one in some):
        n, total = (sum(one.row == row for one in group) for group in (some, counts.every))
        names.append(row if n == total else f"{row} ({n} of {total})")
    return f": {formatting.joined(names)}" if names else ""


def against_report(study: Study) -> list[Finding]:
    """Return how many reported accuracies were exceeded, and which were not reached."""
    counts = by_kind(study).measured
    if not counts:
        return [Finding(NONE_MEASURED, [])] if study.repeats else []
    return [Finding(COUNTED, []), *(finding for one in counts for finding in _findings(one))]


def _findings(counts: Counts) -> list[Finding]:
    many = "accuracy was" if len(counts.every) == 1 else "accuracies were"
    words = (
        f"{len(counts.every)} reported {many} measured again {counts.how}: {len(counts.above)} "
        f"exceeded, {len(counts.below)} not reached."
    )
    findings = [Finding(words, [])]
    if counts.above:
        findings.append(Finding("Exceeded:", _by_row(counts.above, counts)))
    if counts.below:
        named = [str(one.lowest) + _place(one) for one in counts.below]
        few = len(named) <= MOST_MISSED
        findings.append(Finding("Not reached:", named if few else _by_row(counts.below, counts)))
    return findings


def _place(one: Stated) -> str:
    return f", {one.stand_in}" if one.stand_in else ""


def _by_row(some: Sequence[Stated], counts: Counts) -> list[str]:
    """Return for each row how many of its numbers are meant, and by how much they differ."""
    words = []
    for row in dict.fromkeys(one.row for one in some):
        total = sum(one.row == row for one in counts.every)
        words.append(_one_row(row, [one for one in some if one.row == row], total))
    return words


def _one_row(row: str, some: Sequence[Stated], total: int) -> str:
    leads = [abs(one.lowest.difference.mean) for one in some]
    low, high = f"{min(leads):.4f}", f"{max(leads):.4f}"
    sure = sum(one.lowest.sure for one in some)
    repeated = sum(one.lowest.difference.half is not None for one in some)
    stand_ins = [one.stand_in for one in some if one.stand_in]
    places = f", {formatting.joined(list(dict.fromkeys(stand_ins)))}" if stand_ins else ""
    if total == 1:
        return f"{row}: by {low}" + (", more than its interval" if sure else "") + places
    span = f"by {low}" if low == high else f"by {low} to {high}"
    how_sure = _sure(sure, repeated) if repeated else "single trials, without an interval"
    if 0 < repeated < len(some):
        how_sure += f"; {len(some) - repeated} of a single trial"
    return f"{row}: {len(some)} of {total}, {span} ({how_sure}){places}"


def _sure(sure: int, total: int) -> str:
    """Return for how many of the numbers with an interval the difference is larger than it."""
    if sure == total:
        return "more than the interval" if total == 1 else "all by more than the interval"
    return f"{sure or 'none'} by more than the interval"


def note(row: RowResult) -> str:
    """Return what a person wrote about the row after it ran, for example why it fell short."""
    return " ".join((row.row.note or "").split())


def missed(study: Study) -> list[Finding]:
    """Return a finding for each row below reported numbers: by how much, and the likely cause."""
    every = stated(study)
    below = split(every).below
    findings = []
    for row in study.rows:
        for scale in row.scales:
            numbers, total = (
                [one for one in some if (one.row, one.scale) == (row.name, scale)]
                for some in (below, every)
            )
            if numbers:
                findings.append(_why(row, numbers, len(total), scale))
    return findings


def _why(row: RowResult, numbers: Sequence[Stated], total: int, scale: str) -> Finding:
    gaps = [-one.lowest.difference.mean for one in numbers]
    span = f"{min(gaps):.4f}" + (f" to {max(gaps):.4f}" if len(gaps) > 1 else "")
    details = [f"What differs here: {row.cuts(scale)}."] if row.cuts(scale) else []
    if note(row):
        details.append(note(row))
    stand_ins = [one.stand_in for one in numbers if one.stand_in]
    how = f" at scale {scale}"
    if stand_ins:
        how = f", measured{how} with {formatting.joined(list(dict.fromkeys(stand_ins)))},"
    what = (
        "the report"
        if len(numbers) == total
        else (f"{len(numbers)} of the {total} accuracies that the report states for it")
    )
    return Finding(f"{row.name}{how} is {span} below {what}.", details)
