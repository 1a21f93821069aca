"""What a study found, in sentences made from its numbers: who is best, by how much, how surely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fewshot.evaluation.paired_tests import (
    FEWEST_TRIALS,
    AllPairs,
    Difference,
    comparable_means,
)
from fewshot.report import formatting
from fewshot.report.formatting import Finding, counted
from fewshot.report.studies import reported, results
from fewshot.report.studies.results import DONE, CellResult, Group, RowResult, Study

MOST_NAMED = 3  # competitors with a line of their own; the others are counted
MOST_CHARACTERS = 66  # of a row's name in the index
SAME = 0.005  # accuracies are the same if the interval of their difference lies within this


class Competitor(NamedTuple):
    """A cell, with its name in a sentence."""

    name: str
    cell: CellResult


class Contest(NamedTuple):
    """The competitors at one label budget, the best first; what: "rows" or "settings of H5".

    cells: all cells of the rows. Each row competes with its best one, so tests must take into
    account that the others could have been chosen.
    """

    group: Group
    what: str
    competitors: list[Competitor]
    cells: list[CellResult]

    @property
    def best(self) -> Competitor:
        return self.competitors[0]


class Behind(NamedTuple):
    """A competitor, and how far the best cell is ahead of it."""

    name: str
    lead: Difference


def summary(study: Study) -> list[str]:
    """Return at most five sentences: the best system, the reported numbers, what was not run."""
    missing = not_run(study)
    if study.smoke:
        first = (
            "Scale smoke only shows that everything runs, so its accuracies are not compared with "
            "reported numbers."
        )
        return [first, *missing]
    return [headline(study), *reported.in_brief(study), *missing]


def headline(study: Study) -> str:
    """Return one sentence about the best row where most rows were compared."""
    contest = _largest(study)
    return "Nothing was measured yet." if contest is None else _first(contest)


def best_result(study: Study) -> str:
    """Return the best row where most rows were compared, as short as a table cell."""
    contest = _largest(study)
    if contest is None:
        return ""
    best = contest.best
    row = next(row for row in study.rows if best.cell in row.cells)
    accuracy = best.cell.accuracy
    name = formatting.shortened(f"{row.name}, {row.system(best.cell)}", MOST_CHARACTERS)
    where = f"{contest.group.budget}, scale {best.cell.scale}"
    return f"{name}: {accuracy} (n = {accuracy.n}), {where}"


def _largest(study: Study) -> Contest | None:
    """Return the contest of most rows; of equal ones that with the most labels."""
    return max(
        _contests(study),
        key=lambda one: (one.what == "rows", len(one.competitors), one.group.labels),
        default=None,
    )


def winners(study: Study) -> list[Finding]:
    """Return a finding for each label budget about the best row, each row by its best cell.

    If only one row was measured at a budget, its cells are compared. One correction for multiple
    comparisons holds for the whole list.
    """
    return _findings(_contests(study))


def of_row(row: RowResult) -> list[Finding]:
    """Return a finding for each label budget with several cells about the best of them."""
    contests = []
    for group, cells in results.groups(row.cells).items():
        if len(cells) > 1:
            group = group._replace(scale=group.scale if len(row.scales) > 1 else "")
            contests.append(_contest(group, "settings", _labelled(cells), cells))
    return _findings(contests)


def not_run(study: Study) -> list[str]:
    """Return a sentence for each reason of absence, with its rows and their number of cells."""
    by_status: dict[str, list[str]] = {}
    for row in study.rows:
        statuses = [cell.status for cell in row.cells]
        for status in dict.fromkeys(statuses):
            n, total = statuses.count(status), len(statuses)
            share = "" if n == total else f" ({n} of {total} settings)"
            by_status.setdefault(status, []).append(row.name + share)
    return [
        f"{status.capitalize()}: {', '.join(rows)}."
        for status, rows in sorted(by_status.items())
        if status != DONE
    ]


def _contests(study: Study) -> list[Contest]:
    """Return at each label budget the best cell of every row, or all cells if there is one row."""
    by_group: dict[Group, list[tuple[RowResult, list[CellResult]]]] = {}
    for row in study.rows:
        for group, cells in results.groups(row.cells, by_scale=False).items():
            by_group.setdefault(group, []).append((row, cells))
    mixed = len(study.scales) > 1
    contests = []
    for group, rows in sorted(by_group.items(), key=lambda item: (item[0].kind == "full", item[0])):
        row, cells = rows[0]
        if len(rows) == 1 and len(cells) > 1:
            what = f"settings of {row.name} ({row.title})"
            competitors = _labelled(cells, mixed)
        else:
            what, competitors = "rows", []
            for row, cells in rows:
                best = results.best(cells)
                competitors.append(Competitor(_name(row, best, len(cells) > 1, mixed), best))
        every = [cell for _, cells in rows for cell in cells]
        contests.append(_contest(group, what, competitors, every))
    return contests


def _labelled(cells: Sequence[CellResult], mixed: bool = False) -> list[Competitor]:
    """Return cells by their labels, with their scale if the study has results at several."""
    return [Competitor(f'"{cell.shown}"{_scale(cell, mixed)}', cell) for cell in cells]


def _scale(cell: CellResult, mixed: bool) -> str:
    return f", scale {cell.scale}" if mixed else ""


def _contest(
    group: Group, what: str, competitors: Sequence[Competitor], cells: Sequence[CellResult]
) -> Contest:
    """Return a contest in which a run that several rows or settings share competes once."""
    first: dict[str, Competitor] = {}
    for one in competitors:
        first.setdefault(one.cell.measured.run_id, one)
    of_runs = {cell.measured.run_id: cell for cell in cells}
    of_runs |= {run: one.cell for run, one in first.items()}
    means = comparable_means([one.cell.measured.by_seed() for one in first.values()])
    ordered = sorted(zip(means, first.values(), strict=True), key=lambda pair: -pair[0])
    return Contest(group, what, [one for _, one in ordered], list(of_runs.values()))


def _findings(contests: Sequence[Contest]) -> list[Finding]:
    """Return a finding for each contest, with p-values corrected over all pairs of all of them."""
    groups = []
    for contest in contests:
        groups.append([cell.measured.by_seed() for cell in contest.cells])
    pairs = AllPairs(groups)
    findings = []
    for number, contest in enumerate(contests):
        position = {id(cell): index for index, cell in enumerate(contest.cells)}
        best = position[id(contest.best.cell)]
        others = []
        for name, cell in contest.competitors[1:]:
            others.append(Behind(name, pairs.difference(best, position[id(cell)], number)))
        findings.append(Finding(_first(contest), _leads(others)))
    if pairs.comparisons:
        words = (
            f"The p-values are corrected (Holm) for {counted(pairs.comparisons, 'comparison')}: "
            "every pair of settings with the same labels, since the best could have been any of "
            "them. The ± of a lead is half of its own 95% interval."
        )
        findings.append(Finding(words, []))
    return findings


def _first(contest: Contest) -> str:
    best, n = contest.best, len(contest.competitors)
    accuracy = best.cell.accuracy
    words = f"{formatting.interval(accuracy)} (n = {len(accuracy.values)})"
    scale = f" at scale {contest.group.scale}" if contest.group.scale else ""
    where = f"With {contest.group.budget} of {contest.group.data}{scale},"
    if n == 1:
        return f"{where} only {best.name} was run: {words}."
    if best.cell.mean < max(one.cell.mean for one in contest.competitors):
        return f"{where} {best.name} is the best of {n} {contest.what} over common trials: {words}."
    return f"{where} {best.name} has the highest accuracy of {n} {contest.what}: {words}."


def _leads(others: Sequence[Behind]) -> list[str]:
    """Return how far the best cell is ahead of the others, and which have too few trials."""
    tested = [one for one in others if one.lead.p is not None]
    worse = [one for one in tested if one.lead.is_clear_lead]
    rest = [one for one in tested if not one.lead.is_clear_lead]
    same = [
        one for one in rest if one.lead.half is not None and one.lead.mean + one.lead.half <= SAME
    ]
    unsure = [one for one in rest if one not in same]
    untested = [one for one in others if one.lead.p is None]
    details = [
        *_listed(f"the same, within {SAME:g}, as", same),
        *_listed("not significantly better than", unsure),
        *_listed("better than", worse),
    ]
    if untested:
        details.append(_untested(untested, len(others)))
    return details


def _untested(untested: Sequence[Behind], total: int) -> str:
    trials = counted(max(one.lead.n for one in untested), "common trial")
    if total == 1:
        which = "the other one"
    elif len(untested) == total:
        which = f"the other {total}"
    else:
        which = counted(len(untested), "other")
    return f"not tested against {which}: {trials}, and a test needs {FEWEST_TRIALS}"


def _listed(relation: str, competitors: Sequence[Behind]) -> list[str]:
    """Return a line for each of the nearest competitors, and one line for all others."""
    lines = [f"{relation} {one.name}: {_lead(one.lead)}" for one in competitors[:MOST_NAMED]]
    rest = [one.lead.mean for one in competitors[MOST_NAMED:]]
    if rest:
        span = f"{min(rest):.4f}" + (f" to {max(rest):.4f}" if len(rest) > 1 else "")
        lines.append(f"{relation} {len(rest)} more: lead {span}")
    return lines


def _lead(lead: Difference) -> str:
    size = f"{lead.mean:.4f}{formatting.plus_minus(lead.half or None)}"
    return f"lead {size} (n = {lead.n}, {formatting.p_value(lead.p or 0.0)})"


def _name(row: RowResult, cell: CellResult, among_others: bool, mixed: bool) -> str:
    """Return the row, what ran in a cell of it, the setting if the row has others, and the scale.

    Args:
        row: the row.
        cell: its cell.
        among_others: whether the row has other cells.
        mixed: whether the study has results at several scales.
    """
    setting = f", {cell.label}" if among_others else ""
    return f"{row.name} ({row.system(cell)}{setting}{_scale(cell, mixed)})"
