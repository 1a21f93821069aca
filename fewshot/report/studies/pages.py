"""A study as one document of plain parts, which is written as Markdown, LaTeX and HTML.

The page of the episodic regime (fewshot/report/episodic) has the same parts and writers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fewshot.report import costs, known_faults, uncertainty
from fewshot.report.formatting import Finding, Table, as_stated, counted, joined
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies import (
    explained,
    figures,
    findings,
    reported,
    results,
    tables,
    unreached,
)
from fewshot.report.studies.results import DONE, CellResult, RowResult, Study
from fewshot.studies import grids
from fewshot.studies.schema import HIGHEST, Row

MOST_LISTED = 12  # cells named one by one; of more, the others are counted
HOW_TO_READ = (
    "Measured: mean ± half of its 95% interval over n trials, each with its own labelled subset "
    "and its own initial weights, all evaluated on the same test images. 95% with test images: the "
    "interval that also counts the test images as a sample. Difference: measured minus reported. "
    f"{uncertainty.HOW_BOLD} The highest of many settings is too optimistic. Methods are compared "
    "by paired differences over common trials; p-values are corrected by Holm's method for all "
    "pairs. Those of sentences are corrected for the pairs of all tables that the sentences cover, "
    "so a bold row may be less certain in them. "
    f"{costs.SECONDS}"
)


INTRODUCTION = (
    "Each row of this study repeats a system of the report, in one or more settings. *Reported* "
    "numbers are those of the report; *measured* ones are ours. Scale full has the images, the "
    "epochs and the networks of the report. Scale small cuts them, as the captions say."
)
OWN_QUESTIONS = "Each row of this study asks a question, and its settings answer it."


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
    read their tables. faults: accuracy without test images with known faults. unreached: what has
    no result at scale full, at the end.
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
    unreached: Table | None = None


class Line(NamedTuple):
    """A study in the index: what was run, its best result, and how many numbers were exceeded.

    at_full, at_small: with the report's kind of network; by_others: with another network in its
    place.
    """

    name: str
    run: str
    best: str
    at_full: str
    at_small: str
    by_others: str


def page(study: Study) -> Page:
    """Return the page of a study; it compares nothing at scale smoke, and where it explains."""
    compares = not study.smoke and not study.explains
    document = Page(
        name=study.name,
        title=f"Study {study.name}",
        introduction=INTRODUCTION if study.repeats else OWN_QUESTIONS,
        scale=joined(study.scales),
        counts=_counts(study),
        faults=known_faults.sentence(cell.measured for row in study.rows for cell in row.scored),
        headline=tables.headline(study),
        findings=findings.summary(study),
        figures=figures.of_study(study),
        winners=findings.winners(study) if compares else [],
        compared=[*reported.against_report(study), *reported.missed(study)] if compares else [],
        details="Row by row",
        how=HOW_TO_READ,
        sections=[_section(row, study.scale) for row in study.rows],
        unreached=unreached.table(study) if study.scale == HIGHEST else None,
    )
    if not study.explains:
        return document
    return document._replace(
        introduction=explained.INTRODUCTION,
        headline=explained.headline(study),
        findings=[f"{explained.in_brief(study)}.", *findings.not_run(study)],
    )


def _section(row: RowResult, scale: str) -> Section:
    plan, parts, scales = row.row, tables.of_row(row), row.scales or [scale]
    in_captions = {cell.scale for cell in row.scored}
    needs = dict.fromkeys(one for name in scales for one in plan.needs_at(name))
    shared = []
    if len(parts) > 1:
        shared = [note for note in parts[0].notes if all(note in part.notes for part in parts)]
        parts = [
            part._replace(notes=[note for note in part.notes if note not in shared])
            for part in parts
        ]
    remarks = [
        *shared,
        ("assumed", "; ".join(plan.assumed)),
        *((f"changed at scale {one}", row.cuts(one)) for one in scales if one not in in_captions),
        ("in the report", plan.source),
        ("needs", ", ".join(needs)),
        ("expected cost", "" if row.scored else _cost(plan, scales)),  # tables have measured ones
        ("note", "" if plan.explains else reported.note(row)),
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
    system = row.system(best)  # not what the title names if it did not train, or is a stand-in
    named = "" if system == row.title else f"{system}, "
    return f"{of_many}{named}{best.accuracy} (n = {best.accuracy.n}), {budget}, scale {best.scale}"


def _cost(row: Row, scales: Sequence[str]) -> str:
    """Return the expected time of a trial at each scale."""
    times = []
    for scale in scales:
        at_scale = f" at scale {scale}" if len(scales) > 1 else ""
        times.append(f"{unreached.duration(row.seconds_at(scale))} per trial{at_scale}")
    return f"{joined(times)} on two cores"


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
    runs = {cell.measured.run_id: len(cell.measured.seeds) for cell in done if cell.scored}
    trials = sum(runs.values())  # several settings may share a run
    return (
        f"{rows} of {len(study.rows)} rows, {len(done)} of {len(cells)} settings, "
        f"{counted(trials, 'trial')}, {_at_scales(study, done)}{_stale(done)}"
    )


def _at_scales(study: Study, done: Sequence[CellResult]) -> str:
    """Return the scale of a study; of several, the number of settings at each."""
    if len(study.scales) < 2:
        return f"scale {joined(study.scales) or study.scale}"
    numbers = [(scale, sum(cell.scale == scale for cell in done)) for scale in study.scales]
    return joined([f"{counted(n, 'setting')} at scale {scale}" for scale, n in numbers])


def _stale(cells: Sequence[CellResult]) -> str:
    """Return how many results are stale, which their rows name; empty if none is."""
    number = sum(cell.stale for cell in cells)
    return f"; {counted(number, 'setting')} stale (see the notes of the rows)" if number else ""


def line(study: Study) -> Line:
    """Return the line of the study in the index."""
    full, small, stand_ins = (
        "" if study.smoke or not counts.every else str(counts) for counts in reported.by_kind(study)
    )
    best = explained.in_brief(study) if study.explains else findings.best_result(study)
    return Line(study.name, _counts(study), best, full, small, stand_ins)
