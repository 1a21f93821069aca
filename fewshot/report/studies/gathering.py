"""Read the result files of studies: each cell at one scale, or at the highest that it has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fewshot import io
from fewshot.errors import UserError
from fewshot.report.studies.results import (
    DONE,
    MISSING,
    NOT_RUN,
    CellResult,
    Planned,
    RowResult,
    Study,
)
from fewshot.report.studies.unreached import duration
from fewshot.runs.run_record import RunRecord
from fewshot.studies import grids, schema
from fewshot.studies.grids import Cell
from fewshot.studies.results import listed_stale
from fewshot.studies.schema import HIGHEST, MEASURED, Row

KEYS = {"study", "row", "scale", "cell", "label", "status", "record"}
Content = dict[str, Any]  # of a result file
Files = dict[str, dict[str, Content]]  # scale -> name of the cell -> its file
PlannedAt = dict[str, dict[str, Cell]]  # scale -> name -> the cell with its settings at that scale


class Shown(NamedTuple):
    """The result that is shown of a cell, and its scale."""

    scale: str
    content: Content


def read(places: Sequence[Path], scale: str) -> Planned:
    """Return the rows of the low-data regime at these places, each with its cells at this scale.

    At `highest` these are all cells, also those that no scale runs.
    """
    rows = [row for row in schema.read(places) if not row.episodic]
    if scale == HIGHEST:
        return [(row, grids.every_cell(row, MEASURED[0])) for row in rows]
    return [(row, grids.cells(row, scale)) for row in rows]


def gather(planned: Planned, results: Path, scale: str) -> list[Study]:
    """Return the studies of these rows with the results in `results`/<study>/<scale>/<ROW>/."""
    scales = MEASURED if scale == HIGHEST else (scale,)
    studies: dict[str, list[RowResult]] = {}
    orphans: dict[str, int] = {}
    for row, cells in planned:
        files = {name: _files(results / row.study / name / row.name) for name in scales}
        stale = {name: listed_stale(results, row.study, name) for name in scales}
        measured, n_orphans = _cells(row, _planned_at(row, cells, scale), files)
        measured = [_completed(row, cell, stale.get(cell.scale, {})) for cell in measured]
        orphans[row.study] = orphans.get(row.study, 0) + n_orphans
        studies.setdefault(row.study, []).append(RowResult(row, measured))
    unlabelled = _unlabelled(results)
    return [Study(name, scale, rows, orphans[name], unlabelled) for name, rows in studies.items()]


def _planned_at(row: Row, cells: Sequence[Cell], scale: str) -> PlannedAt:
    """Return scale -> the cells with their settings at it, the highest scale first."""
    if scale != HIGHEST:
        return {scale: {cell.name: cell for cell in cells}}
    return {name: {cell.name: cell for cell in grids.every_cell(row, name)} for name in MEASURED}


def _completed(row: Row, cell: CellResult, stale: Mapping[str, str]) -> CellResult:
    """Return a cell with what ran in the place of the report's network, and if it is stale.

    Args:
        row: the row of the cell.
        cell: the cell.
        stale: the list of stale results of its scale.
    """
    return cell._replace(
        stand_in=row.stand_in(cell.values, cell.scale) if cell.scored else "",
        stale=cell.run != "" and stale.get(f"{row.name}/{cell.name}") == cell.run,
    )


def _cells(row: Row, planned_at: PlannedAt, files: Files) -> tuple[list[CellResult], int]:
    """Return the cells of a row, and the number of result files that belong to none of them."""
    shown = _of_searches(row, files) if row.kind == "search" else _highest(files)
    planned = next(iter(planned_at.values()))
    running = set(planned)
    if len(planned_at) > 1:
        running = {cell.name for scale in planned_at for cell in grids.cells(row, scale)}
    at_full = {cell.name for cell in grids.cells(row, "full")}
    cells = []
    for name, cell in planned.items():
        seconds = _expected_seconds(row, name in at_full)
        if name in shown:
            scale, content = shown[name]
            one = _measured(planned_at[scale][name], content, scale)
        else:
            one = _missing(cell, None if name in running else seconds)
        cells.append(one._replace(seconds=seconds))
    others = {name: one for name, one in shown.items() if name not in planned}
    if row.kind != "search":
        return cells, len(others)
    # What the later steps of a search try depends on the earlier ones, so their cells are known
    # from the results alone.
    for name, (scale, content) in others.items():
        cell = Cell(name, content["label"], 0, {}, content.get("settings", {}), {})
        one = _measured(cell, content, scale)
        cells.append(one._replace(seconds=_expected_seconds(row, True)))
    places = {name: _position(one.content) for name, one in shown.items()}
    return sorted(cells, key=lambda cell: places.get(cell.name, (0, cell.name))), 0


def _expected_seconds(row: Row, at_full: bool) -> float:
    """Return the expected seconds of all trials of a cell at scale full on two cores.

    Args:
        row: the row.
        at_full: whether scale full runs the cell; if it leaves it out, the row's own numbers hold.
    """
    if at_full:
        return row.trials_at("full") * row.seconds_at("full")
    return row.trials * row.seconds


def _highest(files: Files) -> dict[str, Shown]:
    """Return for each cell its result at the highest scale that it has, those that are done first.

    Args:
        files: the results, the highest scale first.
    """
    shown: dict[str, Shown] = {}
    for scale, contents in files.items():
        for name, content in contents.items():
            before = shown.get(name)
            if before is None or (content["status"] == DONE != before.content["status"]):
                shown[name] = Shown(scale, content)
    return shown


def _of_searches(row: Row, files: Files) -> dict[str, Shown]:
    """Return the results of searches, each at the highest scale at which no fewer cells are done.

    The cells of a search belong together, because each step continues with the best of the step
    before.
    """
    searches: dict[str, dict[str, list[Content]]] = {}  # start -> scale -> results
    for scale, contents in files.items():
        for content in contents.values():
            values = content.get("values") or {}
            start = str([values.get(axis) for axis in row.grid[0]])
            searches.setdefault(start, {}).setdefault(scale, []).append(content)
    shown: dict[str, Shown] = {}
    for by_scale in searches.values():
        done = {
            scale: sum(content["status"] == DONE for content in contents)
            for scale, contents in by_scale.items()
        }
        scale = max(done, key=done.__getitem__)  # of equal ones the first, the highest
        shown |= {content["cell"]: Shown(scale, content) for content in by_scale[scale]}
    return shown


def _unlabelled(results: Path) -> list[RunRecord]:
    """Return the records in `results`/names that used no label."""
    contents = [io.read_json(path) for path in sorted((results / "names").glob("*.json"))]
    return [RunRecord.from_json(content) for content in contents if content.get("shots") == 0]


def _files(folder: Path) -> dict[str, Content]:
    results = {}
    for path in sorted(folder.glob("*.json")):
        content = io.read_json(path)
        if not isinstance(content, dict) or not set(content) >= KEYS:
            raise UserError(
                f"{path} is not a result of `fewshot sweep`: move it away, or name another folder "
                "with --results."
            )
        if content["record"] and "scores" in content["record"]:
            io.as_object(content["record"], RunRecord.from_json, path)
        results[content["cell"]] = content
    return results


def _position(content: Content) -> tuple[int, str]:
    return content.get("position", 0), content["cell"]


def _missing(cell: Cell, seconds: float | None) -> CellResult:
    """Return a cell without a result.

    Args:
        cell: the cell.
        seconds: that it would take, if no scale runs it.
    """
    status, reason = MISSING, ""
    if seconds is not None:
        status, reason = NOT_RUN, f"it would take about {duration(seconds)} on two cores"
    return CellResult(cell.name, cell.label, cell.values, cell.reported, status, reason)


def _measured(cell: Cell, content: Content, scale: str) -> CellResult:
    """Return a cell with its result at a scale."""
    record = content["record"] if content["status"] == DONE else None
    settings = content.get("settings", cell.settings)
    return CellResult(
        name=cell.name,
        label=cell.label,
        values=content.get("values") or {},
        reported=cell.reported,
        status=content["status"],
        reason=content.get("reason") or "",
        record=RunRecord.from_json(record) if record and "scores" in record else None,
        benchmark=record if record and "scores" not in record else None,
        curves=content.get("curves") if record is not None else None,
        run=content.get("run") or "",
        changed=settings != json.loads(json.dumps(cell.settings)),
        scale=scale,
    )
