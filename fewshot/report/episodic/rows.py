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
from fewshot.studies.schema import Row


class Measured(NamedTuple):
    """A row with its cells, and the results of those that ran with their current settings.

    stale: labels of the cells whose settings lead to another run by now.
    """

    row: Row
    cells: list[Cell]
    results: dict[str, Result]
    stale: list[str]

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
        scale: smoke, small or full.
        folder: the folder with the results of `fewshot sweep`.

    Returns:
        The exit code: 1 if `check` finds a stale or missing file, otherwise 0.
    """
    store = ResultStore(scale, folder, folder)
    studies: dict[str, list[Measured]] = {}
    for row in schema.read(places):
        if row.episodic:
            studies.setdefault(row.study, []).append(_measured(row, store))
    code = 0
    for name, measured in studies.items():
        sections = [_section(one, scale) for one in measured]
        records = [record for one in measured for record in one.records]
        code |= write(page.page(sections, records, name), out, check)
    return code


def _measured(row: Row, store: ResultStore) -> Measured:
    cells = grids.cells(row, store.scale)
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
    return Measured(row, cells, current, stale)


def _section(one: Measured, scale: str) -> Section:
    row = one.row
    pools = groups.by_tasks(one.records)
    shown, drawn = [], []
    for pool, some in pools.items():
        shown += page.tables_of(some, pool)
        drawn += figures.of_pool(pool, some)
    drawn = [figure._replace(name=f"{row.name}-{figure.name}") for figure in drawn]
    remarks = [
        ("source", row.source),
        (f"changed at scale {scale}", "; ".join(row.scale(scale).cuts)),
        ("assumed", "; ".join(row.assumed)),
        ("needs", ", ".join(row.needs_at(scale))),
        ("stale", _stale(one.stale)),
        ("note", " ".join((row.note or "").split())),
    ]
    remarks = [remark for remark in remarks if remark[1]]
    title = row.title_at(scale)
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
