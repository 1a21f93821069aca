"""What a study has no result of at scale full, with the time that it would take."""

from __future__ import annotations

from collections.abc import Sequence

from fewshot.report import formatting
from fewshot.report.formatting import Cell, Table, as_stated, counted
from fewshot.report.studies import tables
from fewshot.report.studies.reported import METRICS
from fewshot.report.studies.results import DONE, CellResult, RowResult, Study

TIME = "time on two cores"
COLUMNS = ["row", "setting", "reported", "shown instead", TIME, "needs"]
CAPTION = (
    "Settings without a result at scale full, the report's own images, epochs and networks: what "
    "this page shows instead, and the expected time of all trials on two cores"
)
WITH_RUNS = ("grid", "search")  # kinds of rows whose cells take time of their own
LONGEST_CELL = 110  # characters


def duration(seconds: float) -> str:
    """Return a time in words, as exact as an estimate is."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 36_000 else f"{seconds / 3600:.0f} hours"


def table(study: Study) -> Table | None:
    """Return the settings without a result at scale full, or None if there are none.

    A setting that no scale measured has a line of its own if the report states an accuracy for it;
    the others of a row share a line. Settings that are no system of the report are left out.
    """
    rows, total = [], 0.0
    for row in study.rows:
        if row.row.kind in WITH_RUNS:
            for cells in _lines(row):
                seconds = sum(cell.seconds for cell in cells)
                total += seconds
                rows.append(_line(row, cells, seconds))
    if not rows:
        return None
    ends = [Cell("all") if name == "row" else Cell() for name in COLUMNS]
    ends[COLUMNS.index(TIME)] = Cell(duration(total), total)
    columns = [index for index in range(len(COLUMNS)) if any(row[index].text for row in rows)]
    return Table(
        CAPTION,
        [COLUMNS[index] for index in columns],
        [[row[index] for index in columns] for row in [*rows, ends]],
        [],
    )


def _lines(row: RowResult) -> list[list[CellResult]]:
    """Return the cells that share a line of the table."""
    alone: list[list[CellResult]] = []
    shared: dict[str, list[CellResult]] = {}
    for cell in row.cells:
        if (cell.status == DONE and cell.scale == "full") or row.row.stand_in(cell.values, "full"):
            continue
        if cell.status != DONE and METRICS.keys() & cell.reported.keys():
            alone.append([cell])
        else:
            shared.setdefault(_instead(cell), []).append(cell)
    return [*alone, *shared.values()]


def _line(row: RowResult, cells: Sequence[CellResult], seconds: float) -> list[Cell]:
    alone = len(cells) == 1
    setting = f"{len(cells)} of {counted(len(row.cells), 'setting')}"
    if alone:
        title = row.row.title_at(cells[0].scale)
        setting = row.row.title if cells[0].label == title else cells[0].label
    instead = {_instead(cell) for cell in cells}.pop()
    return [
        Cell(row.name),
        Cell(formatting.shortened(setting, LONGEST_CELL)),
        _reported(row, cells[0]) if alone else Cell(),
        Cell(instead),
        Cell(duration(seconds), seconds),
        Cell(", ".join(row.row.needs_at("full"))),
    ]


def _reported(row: RowResult, cell: CellResult) -> Cell:
    """Return the accuracy of the report, on test images if it states one."""
    for metric, where in METRICS.items():
        if metric in cell.reported:
            number = cell.reported[metric]
            decimals = tables.decimals_of(row)[metric]
            return Cell(as_stated(number, decimals) + where, number)
    return Cell()


def _instead(cell: CellResult) -> str:
    """Return what is shown of a cell without a result at scale full."""
    if cell.status != DONE:
        return "nothing"
    return f"scale {cell.scale}" + (f": {cell.stand_in}" if cell.stand_in else "")
