"""Measured accuracies against the numbers that the reports state, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fewshot.report.studies import results as gathered
from fewshot.evaluation.statistics import Difference, difference
from fewshot.report.studies.results import Study
from fewshot.report.studies.tables import as_stated

METRICS = {"accuracy": "", "validation_accuracy": " on validation images"}
MOST_NAMED = 5  # missed numbers with sentences of their own; more are told row by row, and stand in the tables


class Against(NamedTuple):
    """A measured cell beside a reported number; found: measured minus reported, over its draws."""

    row: str
    label: str
    metric: str
    reported: float
    found: Difference

    @property
    def sure(self) -> bool:
        """Whether the interval of the measured mean leaves the reported number out."""
        return self.found.half is not None and abs(self.found.mean) > self.found.half

    def __str__(self) -> str:
        measured = f"{self.reported + self.found.mean:.4f}{METRICS[self.metric]}"
        inside = "" if self.sure or self.found.half is None else ", within its interval"
        return f'{self.row} "{self.label}" {measured} against {as_stated(self.reported)} ({self.found}{inside})'


def against(study: Study) -> list[Against]:
    """Every measured cell that has a reported accuracy, on test or on validation images."""
    found = []
    for told in study.rows:
        for cell in told.cells:
            if not cell.scored or cell.record is None:
                continue
            for metric in METRICS:
                score, number = gathered.score(cell.record, metric), cell.reported.get(metric)
                if score is not None and number is not None:
                    lead = difference([value - number for value in score["values"]])
                    found.append(Against(told.name, cell.label, metric, number, lead))
    return found


def sentences(study: Study) -> list[str]:
    """How many reported accuracies were passed, row by row and by how much; and each that was not reached."""
    found = against(study)
    if not found:
        return ["No reported accuracy stands beside a measured one yet."]
    passed, missed = split(found)
    many = "reported accuracy was" if len(found) == 1 else "reported accuracies were"
    told = [
        f"{len(found)} {many} measured again here: {len(passed)} passed, {len(missed)} not reached."
    ]
    if passed:
        told.append(f"Passed: {_by_row(passed, found)}.")
    if missed:
        few = len(missed) <= MOST_NAMED
        told.append(
            f"Not reached: {'; '.join(map(str, missed)) if few else _by_row(missed, found)}."
        )
    if missed and any(row.cuts for row in study.rows):
        cut = f"Scale {study.scale} cuts images, epochs or networks, as each row tells"
        told.append(f"{cut}: not to reach a number with less says little against it.")
    return told


def split(found: Sequence[Against]) -> tuple[list[Against], list[Against]]:
    """Those whose mean lies above the reported number, and the others."""
    return [each for each in found if each.found.mean > 0], [
        each for each in found if each.found.mean <= 0
    ]


def _by_row(some: Sequence[Against], found: Sequence[Against]) -> str:
    """Row by row how many of all, by how much at least and at most, and how many by more than their interval."""
    rows = {each.row: [other for other in some if other.row == each.row] for each in some}
    return "; ".join(
        _row(row, each, sum(other.row == row for other in found)) for row, each in rows.items()
    )


def _row(row: str, some: Sequence[Against], of: int) -> str:
    leads = [abs(each.found.mean) for each in some]
    low, high = f"{min(leads):.4f}", f"{max(leads):.4f}"
    sure = sum(each.sure for each in some)
    if of == 1:
        return f"{row} by {low}" + (", more than its interval" if sure else "")
    by = f"by {low}" if low == high else f"by {low} to {high}"
    return f"{row} {len(some)} of {of} {by} ({sure} by more than the interval)"
