"""The rows of a study of the episodic regime: what each asks, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fewshot.report import formatting
from fewshot.report.episodic import figures, groups, page
from fewshot.report.episodic.report import write
from fewshot.report.studies.pages import Section
from fewshot.runs.episodic.record import EpisodesRecord
from fewshot.studies import grids, schema
from fewshot.studies.grids import Cell
from fewshot.studies.results import Result, ResultStore, listed_stale
from fewshot.studies.schema import HIGHEST, MEASURED, Row


class Measured(NamedTuple):
    """A row with its cells, and the results of those that ran with their current settings.

    stale: labels of the cells whose settings lead to another run by now. scales: of the report, the
    highest first.
    """

    row: Row
    cells: list[Cell]
    results: dict[str, Result]
    stale: list[str]
    scales: Sequence[str]

    @property
    def records(self) -> list[EpisodesRecord]:
        """The records of the cells that are done."""
        contents = [result["record"] for result in self.results.values()]
        return [EpisodesRecord.from_json(one) for one in contents if one is not None]


def report(places: Sequence[Path], out: Path | None, check: bool, scale: str, folder: Path) -> int:
    """Print the episodic rows of study files, or write or check the page of each study.

    Args:
        places: study files, or folders of them.
        out: folder of the pages; None prints them instead.
        check: compare with the files in `out` instead of writing them.
        scale: smoke, small or full; or `highest`, for each cell the highest one but smoke that has
            a result of it.
        folder: the folder with the results of `fewshot sweep`.

    Returns:
        The exit code: 1 if `check` finds a stale or missing file, otherwise 0.
    """
    studies: dict[str, list[Measured]] = {}
    for row in schema.read(places):
        if row.episodic:
            studies.setdefault(row.study, []).append(_measured(row, scale, folder))
    code = 0
    for name, measured in studies.items():
        sections = [_section(one) for one in measured]
        records = [record for one in measured for record in one.records]
        code |= write(page.page(sections, records, name), out, check)
    return code


def _measured(row: Row, scale: str, folder: Path) -> Measured:
    if scale != HIGHEST:
        cells = grids.cells(row, scale)
        return Measured(
            row, cells, *_current(row, cells, ResultStore(scale, folder, folder)), [scale]
        )
    results: dict[str, Result] = {}
    stale: list[str] = []
    for name in MEASURED:
        missing = [
            cell
            for cell in grids.every_cell(row, name)
            if cell.name not in results or results[cell.name]["status"] != "done"
        ]
        some, old = _current(row, missing, ResultStore(name, folder, folder))
        finished = {cell: one for cell, one in some.items() if one["status"] == "done"}
        results = some | results | finished
        stale += old
    return Measured(row, grids.every_cell(row, MEASURED[0]), results, stale, MEASURED)


def _current(
    row: Row, cells: Sequence[Cell], store: ResultStore
) -> tuple[dict[str, Result], list[str]]:
    """Return the results that have the current settings of cells, and the labels of stale ones."""
    by_name = {result["cell"]: result for result in store.results_of(row)}
    current = {
        cell.name: by_name[cell.name]
        for cell in cells
        if cell.name in by_name and store.is_current(row, cell, by_name[cell.name])
    }
    listed = listed_stale(store.results_folder, row.study, store.scale)
    stale = [
        result["label"]
        for name, result in current.items()
        if result["run"] is not None and listed.get(f"{row.name}/{name}") == result["run"]
    ]
    return current, stale


def _section(one: Measured) -> Section:
    row = one.row
    shown_scales = {result["scale"] for result in one.results.values()}
    scales = [scale for scale in one.scales if scale in shown_scales] or one.scales
    pools = groups.by_tasks(one.records)
    shown, drawn = [], []
    for pool, some in pools.items():
        shown += page.tables_of(some, pool)
        drawn += figures.of_pool(pool, some)
    drawn = [figure._replace(name=f"{row.name}-{figure.name}") for figure in drawn]
    remarks = [
        ("source", row.source),
        *((f"changed at scale {scale}", "; ".join(row.scale(scale).cuts)) for scale in scales),
        ("assumed", "; ".join(row.assumed)),
        ("needs", ", ".join(row.needs_at(scales[-1]))),
        ("stale", _stale(one.stale)),
        ("note", " ".join((row.note or "").split())),
    ]
    remarks = [remark for remark in remarks if remark[1]]
    title = row.title_at(scales[0])
    return page.section(row.name, title, row.question, shown, drawn, _absent(one), remarks)


def _stale(labels: Sequence[str]) -> str:
    if not labels:
        return ""
    return f"measured before the preset, the weights or the code changed, for: {'; '.join(labels)}"


def _absent(one: Measured) -> list[str]:
    """Return a sentence for each status and reason of the cells without a record."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for cell in one.cells:
        result = one.results.get(cell.name)
        if result is None:
            by_reason.setdefault(("Not yet run", ""), []).append(cell.label)
        elif result["status"] != "done":
            reason = (result["reason"] or "").rstrip(".")
            status = formatting.sentence_case(result["status"])
            by_reason.setdefault((status, f" Reason: {reason}."), []).append(cell.label)
    return [
        f"{status}, {len(labels)} of {len(one.cells)} settings: {'; '.join(labels)}.{reason}"
        for (status, reason), labels in by_reason.items()
    ]
