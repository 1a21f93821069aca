"""What was found, in sentences made from the numbers: who wins where, by how much, how sure, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fewshot.report import differences
from fewshot.report.studies import results as gathered, reported
from fewshot.evaluation.statistics import FEWEST_TRIALS as FEWEST
from fewshot.evaluation.statistics import SIGNIFICANCE as SURE
from fewshot.evaluation.statistics import Difference, holm_corrected
from fewshot.report.studies.results import DONE, Group, Measured, Study, Told
from fewshot.report.studies.tables import SMOKE

MOST_NAMED = 3  # rivals with numbers of their own in a sentence; the rest are counted
SAME = 0.005  # two accuracies are the same where the interval of their difference lies within


class Rival(NamedTuple):
    """A cell, by its name in a sentence, and how far the best is ahead of it."""

    name: str
    cell: Measured
    lead: Difference


def of_study(study: Study) -> list[str]:
    """The summary of a study: the best at each number of labels, the reported numbers, what was not run."""
    if study.scale == SMOKE:
        first = "Scale smoke shows that everything runs; its accuracies stand beside no reported number."
        return [first, *not_run(study)]
    return [*winners(study), *reported.sentences(study), *not_run(study)]


def winners(study: Study) -> list[str]:
    """At each number of labels the best row, each row by its best cell; one correction for the whole list.

    Where one row alone was measured its cells are compared.
    """
    found = _candidates(study)
    return _told(
        {group: cells for group, (_, cells) in found.items()},
        {group: of for group, (of, _) in found.items()},
    )


def headline(study: Study) -> str:
    """The winner where most were compared, in one sentence."""
    found = _candidates(study)
    if not found:
        return "Nothing was measured yet."
    group = max(
        found, key=lambda each: (len(found[each][1]), _draws(found[each][1]) >= FEWEST, each.labels)
    )
    what, cells = found[group]
    best, *others = _ranked(cells)
    return _first(group, best, len(others), what)


def of_row(told: Told) -> list[str]:
    """The best cell of a row at each number of labels, where there are several."""
    groups = {
        group: cells for group, cells in gathered.groups(told.cells).items() if len(cells) > 1
    }
    found = {
        group: [(f'"{cell.label}"', cell) for cell in cells] for group, cells in groups.items()
    }
    return _told(found, dict.fromkeys(found, "cells"))


def not_run(study: Study) -> list[str]:
    """One sentence for each kind of absence, with the rows and how many of their cells it concerns."""
    found: dict[str, list[str]] = {}
    for told in study.rows:
        states = [cell.status for cell in told.cells]
        for state in dict.fromkeys(states):
            every = (
                ""
                if states.count(state) == len(states)
                else f" ({states.count(state)} of {len(states)} cells)"
            )
            found.setdefault(state, []).append(told.name + every)
    return [
        f"{state.capitalize()}: {', '.join(rows)}."
        for state, rows in sorted(found.items())
        if state != DONE
    ]


Candidates = dict[Group, list[tuple[str, Measured]]]


def _candidates(study: Study) -> dict[Group, tuple[str, list[tuple[str, Measured]]]]:
    """At each number of labels the best cell of every row, or of a row alone all cells; and what they are."""
    by_row: dict[Group, list[tuple[Told, list[Measured]]]] = {}
    for told in study.rows:
        for group, cells in gathered.groups(told.cells).items():
            by_row.setdefault(group, []).append((told, cells))
    found: dict[Group, tuple[str, list[tuple[str, Measured]]]] = {}
    for group, rows in sorted(by_row.items(), key=lambda each: (each[0].kind == "full", each[0])):
        told, cells = rows[0]
        if len(rows) == 1 and len(cells) > 1:
            found[group] = (
                f"cells of {_named(told, None)}",
                [(f'"{cell.label}"', cell) for cell in cells],
            )
        else:
            bests = [(told, max(cells, key=gathered.mean), len(cells) > 1) for told, cells in rows]
            found[group] = (
                "rows",
                [(_named(told, best if many else None), best) for told, best, many in bests],
            )
    return found


def _told(found: Candidates, what: Mapping[Group, str]) -> list[str]:
    ranked = {group: _ranked(cells) for group, cells in found.items()}
    leads = holm_corrected([rival.lead for rivals in ranked.values() for rival in rivals[1:]])
    comparisons, next_lead = sum(each.p is not None for each in leads), iter(leads)
    sentences = []
    for group, (best, *rivals) in ranked.items():
        rivals = [rival._replace(lead=next(next_lead)) for rival in rivals]
        sentences.append(" ".join([_first(group, best, len(rivals), what[group]), *_leads(rivals)]))
    if comparisons:
        sentences.append(f"Each p is corrected for {_count(comparisons, 'comparison')} (Holm).")
    return sentences


def _draws(cells: Sequence[tuple[str, Measured]]) -> int:
    return min(len((cell.record or {})["seeds"]) for _, cell in cells)


def _first(group: Group, best: Rival, rivals: int, what: str) -> str:
    of = f"is best of {rivals + 1} {what} with" if rivals else "stands alone with"
    return f"{_where(group)} {best.name} {of} {_accuracy(best.cell)}."


def _ranked(cells: Sequence[tuple[str, Measured]]) -> list[Rival]:
    """From the best down, each with the best's lead over it."""
    ordered = sorted(cells, key=lambda each: -gathered.mean(each[1]))
    best = ordered[0][1].record or {}
    return [
        Rival(name, cell, differences.paired(best, cell.record or {})) for name, cell in ordered
    ]


def _leads(rivals: Sequence[Rival]) -> list[str]:
    """Whom the best is ahead of beyond chance, from whom it cannot be told, and where there are too few draws."""
    ahead = [each for each in rivals if each.lead.p is not None and each.lead.p < SURE]
    others = [each for each in rivals if each.lead.p is not None and each.lead.p >= SURE]
    same = [each for each in others if each.lead.mean + (each.lead.half or 0.0) <= SAME]
    unsure = [each for each in others if each not in same]
    silent = [each for each in rivals if each.lead.p is None]
    parts = [f"It is ahead of {_list(ahead)}."] if ahead else []
    parts += [f"It is the same, within {SAME:g}, as {_list(same, behind=True)}."] if same else []
    parts += [f"It is not surely better than {_list(unsure, behind=True)}."] if unsure else []
    if silent:
        many = (
            "the other one"
            if len(rivals) == 1
            else f"the other {len(silent)}"
            if silent == rivals
            else None
        )
        draws = _count(max(each.lead.n for each in silent), "common draw")
        parts.append(
            f"Whether it is ahead of {many or _count(len(silent), 'more')} cannot be said from {draws}; "
            f"{FEWEST} are needed."
        )
    return parts


def _list(rivals: Sequence[Rival], behind: bool = False) -> str:
    named = [each.name + _lead(each.lead, behind) for each in rivals[:MOST_NAMED]]
    rest = [each.lead.mean for each in rivals[MOST_NAMED:]]
    if rest:
        span = f"{min(rest):.4f} to {max(rest):.4f}"
        named.append(
            f"{len(rest)} more, {span} behind" if behind else f"{len(rest)} more by {span}"
        )
    return "; ".join(named)


def _lead(lead: Difference, behind: bool) -> str:
    p = lead.p or 0.0
    far = f"{lead.mean:.4f} ± {lead.half or 0.0:.4f}"
    told = f", {far} behind" if behind else f" by {far}"
    return f"{told} (n = {lead.n}, p {'< 0.0001' if p < 1e-4 else f'= {p:.2g}'})"


def _where(group: Group) -> str:
    if group.kind == "full":
        return f"With all training images of {group.data},"
    if group.kind == "fraction":
        return f"With {gathered.budget(group)} of the training images of {group.data},"
    return f"With {_count(group.budget, 'labelled image')} a class of {group.data},"


def _count(count: float, what: str) -> str:
    return f"{count:g} {what}" + ("" if count == 1 or what == "more" else "s")


def _named(told: Told, cell: Measured | None) -> str:
    return f"{told.name} ({told.plan.title}{'' if cell is None else f', {cell.label}'})"


def _accuracy(cell: Measured) -> str:
    score = (cell.record or {})["scores"]["accuracy"]
    half = "" if score["ci95"] is None else f" ± {score['ci95']:.4f}"
    return f"{score['mean']:.4f}{half} (n = {len(score['values'])})"
