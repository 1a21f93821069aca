"""A study as one document of plain parts, which is written as Markdown, LaTeX and HTML.

The page of the episodic regime (fewshot/report/episodic) has the same parts and writers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fewshot.report import costs, known_faults, uncertainty
from fewshot.report.formatting import Finding, Table, as_stated, counted
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies import explained, figures, findings, reported, results, tables
from fewshot.report.studies.results import DONE, SMOKE, CellResult, RowResult, Study
from fewshot.studies import grids

MOST_LISTED = 12  # cells named one by one; of more, the others are counted
HOW_TO_READ = (
    "Measured: mean ± half of its 95% interval over n trials, each with its own labelled subset "
    "and its own initial weights, all evaluated on the same test images. 95% with test images: the "
    "interval that also counts the test images as a sample. Difference: measured minus reported. "
    f"{uncertainty.HOW_BOLD} The highest of many settings is too optimistic. Methods are compared "
    "by paired differences over common trials; p-values are corrected by Holm's method for all "
    "pairs. "
    f"{costs.SECONDS}"
)


INTRODUCTION = (
    "Each row of this study repeats a system of the report, in one or more settings. *Reported* "
    "numbers are those of the report; *measured* ones are ours."
)


class Section(NamedTuple):
    """A row of the study.

    findings: the best settings. absent: cells without numbers, and why. remarks: what was assumed,
    what the scale leaves out, the source and the cost, as (subject, sentence). brief: the result in
    a few words, for a list of rows.
    """

    name: str
    title: str
    question: str
    findings: list[Finding]
    tables: list[Table]
    absent: list[str]
    remarks: list[tuple[str, str]]
    figures: list[Figure]
    brief: str = ""


class Question(NamedTuple):
    """A question about all studies of a page, with the sentences, table and figure that answer it.

    name: of its heading in links.
    """

    name: str
    title: str
    sentences: list[str]
    table: Table | None
    figure: Figure | None


class Overview(NamedTuple):
    """What an HTML page begins with: questions about all of its studies.

    name: of the folder of its figures.
    """

    name: str
    questions: list[Question]


class Page(NamedTuple):
    """A study: what was run, the headline table, at most five findings, and then the details.

    name: of its files. introduction: what precedes the first table. scale: empty where there is
    none. winners: the best row at each label budget. compared: measured against reported numbers
    row by row, and why some were not reached. details, how: the heading of the sections, and how to
    read their tables. faults: accuracy without test images with known faults.
    """

    name: str
    title: str
    introduction: str
    scale: str
    counts: str
    faults: str
    headline: Table | None
    findings: list[str]
    figures: list[Figure]
    winners: list[Finding]
    compared: list[Finding]
    details: str
    how: str
    sections: list[Section]


class Line(NamedTuple):
    """A study in the index: what was run, its best result, and how many numbers were exceeded.

    exceeded: with the report's kind of network; by_others: with another network in its place.
    """

    name: str
    run: str
    best: str
    exceeded: str
    by_others: str


def page(study: Study) -> Page:
    """Return the page of a study; it compares nothing at scale smoke, and where it explains."""
    compares = study.scale != SMOKE and not study.explains
    document = Page(
        name=study.name,
        title=f"Study {study.name}",
        introduction=INTRODUCTION,
        scale=study.scale,
        counts=_counts(study),
        faults=known_faults.sentence(cell.measured for row in study.rows for cell in row.scored),
        headline=tables.headline(study),
        findings=findings.summary(study),
        figures=figures.of_study(study),
        winners=findings.winners(study) if compares else [],
        compared=[*reported.against_report(study), *missed(study)] if compares else [],
        details="Row by row",
        how=HOW_TO_READ,
        sections=[_section(row, study.scale) for row in study.rows],
    )
    if not study.explains:
        return document
    return document._replace(
        introduction=explained.INTRODUCTION,
        headline=explained.headline(study),
        findings=[f"{explained.in_brief(study)}.", *findings.not_run(study)],
    )


def _section(row: RowResult, scale: str) -> Section:
    plan, parts = row.row, tables.of_row(row, scale)
    shared = []
    if len(parts) > 1:
        shared = [note for note in parts[0].notes if all(note in part.notes for part in parts)]
        parts = [
            part._replace(notes=[note for note in part.notes if note not in shared])
            for part in parts
        ]
    seconds = plan.seconds_at(scale)
    time = f"{seconds:g} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    remarks = [
        *shared,
        ("assumed", "; ".join(plan.assumed)),
        (f"changed at scale {scale}", "; ".join(row.cuts)),
        ("in the report", plan.source),
        ("needs", ", ".join(plan.needs_at(scale))),
        ("expected cost", f"{time} per trial on two cores"),
        ("note", "" if plan.explains else note(row)),
    ]
    return Section(
        name=row.name,
        title=row.title,
        question=explained.answer(row) if plan.explains else plan.question,
        findings=findings.of_row(row),
        tables=parts,
        absent=_absent(row),
        remarks=[remark for remark in remarks if remark[1]],
        figures=figures.of_row(row),
        brief=_brief(row),
    )


def _brief(row: RowResult) -> str:
    """Return the best measured accuracy of a row, or why it has none."""
    if not row.scored:
        return ", ".join(dict.fromkeys(cell.status for cell in row.cells if cell.status != DONE))
    best = results.best(row.scored)
    of_many = "best: " if len(row.scored) > 1 else ""
    budget = results.group_of(best.measured).budget
    return f"{of_many}{best.accuracy} (n = {best.accuracy.n}), {budget}"


def note(row: RowResult) -> str:
    """Return what a person wrote about the row after it ran, for example why it fell short."""
    return " ".join((row.row.note or "").split())


def _absent(row: RowResult) -> list[str]:
    """Return the cells without numbers by status and reason, and the steps not yet searched."""
    cells = row.cells
    by_reason: dict[tuple[str, str], list[CellResult]] = {}
    for cell in cells:
        if cell.status != DONE:
            by_reason.setdefault((cell.status, cell.reason), []).append(cell)
    sentences = []
    for (status, reason), group in by_reason.items():
        share = "" if len(cells) == 1 else f", {len(group)} of {len(cells)} settings"
        names = "; ".join(_with_reported(cell) for cell in group[:MOST_LISTED])
        more = f"; and {len(group) - MOST_LISTED} more" if len(group) > MOST_LISTED else ""
        because = f" Reason: {reason.rstrip('.')}." if reason else ""
        sentences.append(f"{status.capitalize()}{share}: {names}{more}.{because}")
    begun = {key for cell in cells for key in cell.values}
    axes = [grids.axis_of(step)[0] for step in row.row.steps]
    later = [axis for axis in axes if axis not in begun]
    if later:
        sentences.append(f"Not yet run: the steps over {', '.join(later)}.")
    return sentences


def _with_reported(cell: CellResult) -> str:
    words = [
        f"{metric.replace('_', ' ')} {as_stated(value)}" for metric, value in cell.reported.items()
    ]
    return cell.label + (f" [reported: {', '.join(words)}]" if words else "")


def _counts(study: Study) -> str:
    cells = [cell for row in study.rows for cell in row.cells]
    done = [cell for cell in cells if cell.status == DONE]
    rows = sum(any(cell.status == DONE for cell in row.cells) for row in study.rows)
    trials = sum(len(cell.measured.seeds) for cell in done if cell.scored)
    return (
        f"{rows} of {len(study.rows)} rows, {len(done)} of {len(cells)} settings, "
        f"{counted(trials, 'trial')}, scale {study.scale}{_stale(done)}"
    )


def _stale(cells: Sequence[CellResult]) -> str:
    """Return how many results are stale, which their rows name; empty if none is."""
    number = sum(cell.stale for cell in cells)
    return f"; {counted(number, 'setting')} stale (see the notes of the rows)" if number else ""


def line(study: Study) -> Line:
    """Return the line of the study in the index."""
    counts = () if study.scale == SMOKE else reported.by_network(study)
    own, others = (str(one) if one.every else "" for one in counts) if counts else ("", "")
    best = explained.in_brief(study) if study.explains else findings.best_result(study)
    return Line(study.name, _counts(study), best, own, others)


def missed(study: Study) -> list[Finding]:
    """Return a finding for each row below reported numbers: by how much, and the likely cause."""
    below = reported.split(reported.stated(study)).below
    findings = []
    for row in study.rows:
        numbers = [one for one in below if one.row == row.name]
        if numbers:
            findings.append(_why(row, numbers))
    return findings


def _why(row: RowResult, numbers: Sequence[reported.Stated]) -> Finding:
    gaps = [f"{-one.lowest.difference.mean:.4f}" for one in numbers]
    span = gaps[0] if len(gaps) == 1 else f"{min(gaps)} to {max(gaps)}"
    details = [f"What differs here: {'; '.join(row.cuts)}."] if row.cuts else []
    if note(row):
        details.append(note(row))
    return Finding(f"{row.name} is {span} below the report.", details)
