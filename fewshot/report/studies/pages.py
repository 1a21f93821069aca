"""A study as one document of plain parts, from which Markdown, LaTeX and HTML are written with the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fewshot.report.studies import (
    findings,
    reported,
    tables as row_tables,
    figures as study_figures,
)
from fewshot.report.studies.results import DONE, Measured, Study, Told
from fewshot.report.studies.tables import Table, as_stated
from fewshot.report.plots.study_plots import Figure

MOST_LISTED = 12  # cells named one by one; beyond, they are counted


class Section(NamedTuple):
    """A row; found: sentences; absent: what has no number and why; remarks: assumed, cuts, source and cost."""

    name: str
    title: str
    question: str
    found: list[str]
    tables: list[Table]
    absent: list[str]
    remarks: list[tuple[str, str]]
    figures: list[Figure]


class Page(NamedTuple):
    """A study; counts: what was run, in words."""

    name: str
    scale: str
    counts: str
    summary: list[str]
    figures: list[Figure]
    sections: list[Section]


class Line(NamedTuple):
    """A study in the index."""

    name: str
    run: str
    found: str
    not_reproduced: str


def page(study: Study) -> Page:
    figures = study_figures.of_study(study)
    return Page(
        study.name, study.scale, _counts(study), findings.of_study(study), figures,
        [_section(told, study.scale) for told in study.rows],
    )  # fmt: skip


def _section(told: Told, scale: str) -> Section:
    plan, tables = told.plan, row_tables.tables(told, scale)
    shared = (
        [note for note in tables[0].notes if all(note in table.notes for table in tables)]
        if tables[1:]
        else []
    )
    tables = [
        table._replace(notes=[note for note in table.notes if note not in shared])
        for table in tables
    ]
    remarks = [
        *shared,
        ("assumed", "; ".join(plan.assumed)),
        (f"cut at scale {scale}", "; ".join(told.cuts)),
    ]
    remarks += [("in the report", plan.source), ("needs", ", ".join(plan.needs_at(scale)))]
    remarks += [("expected cost", _cost(plan.seconds_at(scale))), ("note", note(told))]
    return Section(
        told.name, plan.title, plan.question, findings.of_row(told), tables, _absent(told),
        [each for each in remarks if each[1]], study_figures.of_row(told),
    )  # fmt: skip


def note(told: Told) -> str:
    """What a person wrote about the row after it ran: why a number was not reached, say."""
    return " ".join((told.plan.note or "").split())


def _cost(seconds: float) -> str:
    many = f"{seconds:g} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    return f"{many} a draw on two cores"


def _absent(told: Told) -> list[str]:
    """Cells without numbers by state and reason, each with what is reported of it; steps a search has not begun."""
    cells = told.cells
    found: dict[tuple[str, str], list[Measured]] = {}
    for cell in cells:
        if cell.status != DONE:
            found.setdefault((cell.status, cell.reason), []).append(cell)
    sentences = []
    for (status, reason), group in found.items():
        many = "" if len(cells) == 1 else f", {len(group)} of {len(cells)} cells"
        names = "; ".join(_with_reported(cell) for cell in group[:MOST_LISTED])
        more = f"; and {len(group) - MOST_LISTED} more" if len(group) > MOST_LISTED else ""
        because = f" Reason: {reason.rstrip('.')}." if reason else ""
        sentences.append(f"{status.capitalize()}{many}: {names}{more}.{because}")
    begun = {key for cell in cells for key in cell.values}
    later = [axis for step in told.plan.steps for axis in step if axis not in begun]
    return [*sentences, *([f"Not yet run: the steps over {', '.join(later)}."] if later else [])]


def _with_reported(cell: Measured) -> str:
    words = [
        f"{metric.replace('_', ' ')} {as_stated(value)}" for metric, value in cell.reported.items()
    ]
    return cell.label + (f" [reported: {', '.join(words)}]" if words else "")


def _counts(study: Study) -> str:
    cells = [cell for told in study.rows for cell in told.cells]
    done = [cell for cell in cells if cell.status == DONE]
    rows = sum(any(cell.status == DONE for cell in told.cells) for told in study.rows)
    draws = sum(len((cell.record or {}).get("seeds", [])) for cell in done)
    return (
        f"{rows} of {len(study.rows)} rows, {len(done)} of {len(cells)} cells, "
        f"{draws} {'draw' if draws == 1 else 'draws'}, scale {study.scale}"
    )


def line(study: Study) -> Line:
    """The study's line in the index: what was run, found, and not reproduced, with what the scale cut and the note."""
    against = [] if study.scale == row_tables.SMOKE else reported.against(study)
    passed, missed = reported.split(against)
    found = [findings.headline(study)]
    if against:
        found.append(f"{len(passed)} of {len(against)} reported accuracies passed.")
    why = [
        _why(told, short)
        for told in study.rows
        if (short := [each for each in missed if each.row == told.name])
    ]
    return Line(study.name, _counts(study), " ".join(found), " ".join(why))


def _why(told: Told, missed: Sequence[reported.Against]) -> str:
    far = ", ".join(f"{each.found.mean:+.4f}" for each in missed[:3])
    more = f" and {len(missed) - 3} more" if len(missed) > 3 else ""
    words = [f"cut: {'; '.join(told.cuts)}" if told.cuts else "", note(told).rstrip(".")]
    because = ". ".join(filter(None, words))
    return f"{told.name}: {far}{more}" + (f" ({because})." if because else ".")
