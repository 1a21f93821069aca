"""What a study found, in sentences made from its numbers: who is best, by how much, how surely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fewshot.evaluation.statistics import (
    FEWEST_TRIALS,
    SIGNIFICANCE,
    Difference,
    holm_corrected,
    paired_difference,
)
from fewshot.report import formatting
from fewshot.report.formatting import counted
from fewshot.report.studies import reported, results
from fewshot.report.studies.results import DONE, SMOKE, CellResult, Group, RowResult, Study

MOST_NAMED = 3  # competitors with numbers of their own in a sentence; the others are counted
MOST_CHARACTERS = 50  # of a row's name in the index
SAME = 0.005  # accuracies are the same if the interval of their difference lies within this


class Competitor(NamedTuple):
    """A cell with its name in a sentence, and how far the best cell is ahead of it."""

    name: str
    cell: CellResult
    lead: Difference


class Contest(NamedTuple):
    """The competitors at one label budget, the best first; what: "rows" or "settings of H5"."""

    group: Group
    what: str
    competitors: list[Competitor]

    @property
    def best(self) -> Competitor:
        return self.competitors[0]


def summary(study: Study) -> list[str]:
    """Return at most five sentences: the best system, the reported numbers, what was not run."""
    missing = not_run(study)
    if study.scale == SMOKE:
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
    name = formatting.shortened(f"{row.name}, {row.row.title}", MOST_CHARACTERS)
    return f"{name}: {accuracy} (n = {accuracy.n}), {contest.group.budget}"


def _largest(study: Study) -> Contest | None:
    """Return the contest of most rows; of equal ones that with the most labels."""
    return max(
        _contests(study),
        key=lambda one: (one.what == "rows", len(one.competitors), one.group.labels),
        default=None,
    )


def winners(study: Study) -> list[str]:
    """Return a sentence for each label budget about the best row, each row by its best cell.

    If only one row was measured at a budget, its cells are compared. One correction for multiple
    comparisons holds for the whole list.
    """
    return _sentences(_contests(study))


def of_row(row: RowResult) -> list[str]:
    """Return a sentence for each label budget with several cells about the best of them."""
    contests = []
    for group, cells in results.groups(row.cells).items():
        if len(cells) > 1:
            named = [(f'"{cell.label}"', cell) for cell in cells]
            contests.append(_contest(group, "settings", named))
    return _sentences(contests)


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
        for group, cells in results.groups(row.cells).items():
            by_group.setdefault(group, []).append((row, cells))
    contests = []
    for group, rows in sorted(by_group.items(), key=lambda item: (item[0].kind == "full", item[0])):
        row, cells = rows[0]
        if len(rows) == 1 and len(cells) > 1:
            what = f"settings of {_name(row, None)}"
            named = [(f'"{cell.label}"', cell) for cell in cells]
        else:
            what, named = "rows", []
            for row, cells in rows:
                best = results.best(cells)
                named.append((_name(row, best if len(cells) > 1 else None), best))
        contests.append(_contest(group, what, named))
    return contests


def _contest(group: Group, what: str, named: Sequence[tuple[str, CellResult]]) -> Contest:
    ordered = sorted(named, key=lambda item: -item[1].mean)
    best = ordered[0][1].measured.by_seed()
    competitors = []
    for name, cell in ordered:
        lead = paired_difference(best, cell.measured.by_seed())
        competitors.append(Competitor(name, cell, lead))
    return Contest(group, what, competitors)


def _sentences(contests: Sequence[Contest]) -> list[str]:
    """Return a sentence for each contest, with p-values corrected over all of them."""
    leads = holm_corrected([one.lead for c in contests for one in c.competitors[1:]])
    comparisons, next_lead = sum(lead.p is not None for lead in leads), iter(leads)
    sentences = []
    for contest in contests:
        others = [one._replace(lead=next(next_lead)) for one in contest.competitors[1:]]
        sentences.append(" ".join([_first(contest), *_leads(others)]))
    if comparisons:
        sentences.append(
            f"The p-values are corrected for {counted(comparisons, 'comparison')} (Holm)."
        )
    return sentences


def _first(contest: Contest) -> str:
    best, n = contest.best, len(contest.competitors)
    accuracy = best.cell.accuracy
    words = f"{formatting.interval(accuracy)} (n = {len(accuracy.values)})"
    where = f"With {contest.group.budget} of {contest.group.data},"
    if n == 1:
        return f"{where} only {best.name} was run: {words}."
    return f"{where} {best.name} has the highest accuracy of {n} {contest.what}: {words}."


def _leads(others: Sequence[Competitor]) -> list[str]:
    """Return which competitors are surely worse, which are not, and which have too few trials."""
    tested = [one for one in others if one.lead.p is not None]
    worse = [one for one in tested if _p(one) < SIGNIFICANCE]
    rest = [one for one in tested if _p(one) >= SIGNIFICANCE]
    same = [one for one in rest if one.lead.mean + (one.lead.half or 0.0) <= SAME]
    unsure = [one for one in rest if one not in same]
    untested = [one for one in others if one.lead.p is None]
    sentences = []
    if worse:
        sentences.append(f"It is better than {_enumerated(worse)}.")
    if same:
        sentences.append(f"It equals, within {SAME:g}, {_enumerated(same, ahead=True)}.")
    if unsure:
        sentences.append(
            f"The difference is not significant for {_enumerated(unsure, ahead=True)}."
        )
    if untested:
        sentences.append(_untested(untested, len(others)))
    return sentences


def _p(competitor: Competitor) -> float:
    return competitor.lead.p if competitor.lead.p is not None else 1.0


def _untested(untested: Sequence[Competitor], total: int) -> str:
    trials = counted(max(one.lead.n for one in untested), "common trial")
    which = f"the other {len(untested)}" if len(untested) == total else f"{len(untested)} others"
    if total == 1:
        which = "the other one"
    return f"With {trials}, no test against {which} is possible; {FEWEST_TRIALS} are needed."


def _enumerated(competitors: Sequence[Competitor], ahead: bool = False) -> str:
    names = [one.name + _lead(one.lead, ahead) for one in competitors[:MOST_NAMED]]
    rest = [one.lead.mean for one in competitors[MOST_NAMED:]]
    if rest:
        span = f"{min(rest):.4f} to {max(rest):.4f}"
        words = f"lead of {span}" if ahead else f"by {span}"
        names.append(f"{len(rest)} more ({words})" if ahead else f"{len(rest)} more {words}")
    return "; ".join(names)


def _lead(lead: Difference, ahead: bool) -> str:
    size = f"{lead.mean:.4f} ± {lead.half or 0.0:.4f}"
    detail = f"n = {lead.n}, {formatting.p_value(lead.p or 0.0)}"
    return f" (lead of {size}, {detail})" if ahead else f" by {size} ({detail})"


def _name(row: RowResult, cell: CellResult | None) -> str:
    return f"{row.name} ({row.row.title}{'' if cell is None else f', {cell.label}'})"
