"""Measured accuracies beside the numbers that the report states, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fewshot.evaluation.paired_tests import Difference, difference
from fewshot.report import formatting
from fewshot.report.formatting import Finding, as_stated
from fewshot.report.studies import results
from fewshot.report.studies.results import Study

MOST_MISSED = 5  # reported numbers that were not reached, named one by one
METRICS = {"accuracy": "", "validation_accuracy": " on validation images"}


class Against(NamedTuple):
    """A measured cell beside a reported number; difference: measured minus reported."""

    row: str
    label: str
    metric: str
    reported: float
    difference: Difference

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


def against(study: Study) -> list[Against]:
    """Return every measured cell with a reported test or validation accuracy."""
    pairs = []
    for row in study.rows:
        for cell in row.scored:
            for metric in METRICS:
                score, number = results.score(cell.measured, metric), cell.reported.get(metric)
                if score is not None and number is not None:
                    lead = difference([value - number for value in score.values])
                    pairs.append(Against(row.name, cell.label, metric, number, lead))
    return pairs


def split(pairs: Sequence[Against]) -> tuple[list[Against], list[Against]]:
    """Return the pairs whose measured mean is above the reported number, and the others."""
    above = [pair for pair in pairs if pair.difference.mean > 0]
    return above, [pair for pair in pairs if pair.difference.mean <= 0]


def in_brief(study: Study) -> list[str]:
    """Return how many reported accuracies were exceeded, in which rows, and in which not."""
    pairs = against(study)
    if not pairs:
        return ["No reported accuracy has a measured one beside it yet."]
    above, below = split(pairs)
    many = len(above) or "None"
    rows = _rows(above, pairs)
    words = [f"{many} of {len(pairs)} reported accuracies were exceeded{rows}."]
    if below:
        verb = "was" if len(below) == 1 else "were"
        words.append(f"{len(below)} {verb} not reached{_rows(below, pairs)}.")
        if any(row.cuts for row in study.rows):
            words.append(
                f"Scale {study.scale} uses fewer images, fewer epochs or smaller networks than the "
                "report, so a number that was not reached says little."
            )
    return words


def _rows(some: Sequence[Against], pairs: Sequence[Against]) -> str:
    """Return the rows of some numbers, with their share if it is not all: ": K7 (1 of 7), K8"."""
    names = []
    for row in dict.fromkeys(pair.row for pair in some):
        n, total = (sum(pair.row == row for pair in group) for group in (some, pairs))
        names.append(row if n == total else f"{row} ({n} of {total})")
    return f": {formatting.joined(names)}" if names else ""


def against_report(study: Study) -> list[Finding]:
    """Return how many reported accuracies were exceeded, and which were not reached."""
    pairs = against(study)
    if not pairs:
        return [Finding("No reported accuracy has a measured one beside it yet.", [])]
    above, below = split(pairs)
    many = "accuracy was" if len(pairs) == 1 else "accuracies were"
    words = (
        f"{len(pairs)} reported {many} measured again: {len(above)} exceeded, {len(below)} not "
        "reached."
    )
    findings = [Finding(words, [])]
    if above:
        findings.append(Finding("Exceeded:", _by_row(above, pairs)))
    if below:
        few = len(below) <= MOST_MISSED
        findings.append(
            Finding("Not reached:", [*map(str, below)] if few else _by_row(below, pairs))
        )
    return findings


def _by_row(some: Sequence[Against], pairs: Sequence[Against]) -> list[str]:
    """Return for each row how many of its numbers are meant, and by how much they differ."""
    words = []
    for row in dict.fromkeys(pair.row for pair in some):
        total = sum(pair.row == row for pair in pairs)
        words.append(_one_row(row, [pair for pair in some if pair.row == row], total))
    return words


def _one_row(row: str, some: Sequence[Against], total: int) -> str:
    leads = [abs(pair.difference.mean) for pair in some]
    low, high = f"{min(leads):.4f}", f"{max(leads):.4f}"
    sure = sum(pair.sure for pair in some)
    if total == 1:
        return f"{row}: by {low}" + (", more than its interval" if sure else "")
    span = f"by {low}" if low == high else f"by {low} to {high}"
    return f"{row}: {len(some)} of {total}, {span} ({_sure(sure, len(some))})"


def _sure(sure: int, total: int) -> str:
    """Return for how many numbers the difference is larger than the interval."""
    if sure == total:
        return "more than the interval" if total == 1 else "all by more than the interval"
    return f"{sure or 'none'} by more than the interval"
