"""The results of a sweep's cells, one file each: the sweep writes them, and reports read them.

Imports nothing heavy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict, cast, final

from fewshot import io
from fewshot.runs.run_record import RunRecord
from fewshot.studies import grids
from fewshot.studies.grids import Cell
from fewshot.studies.schema import Row

Status = Literal["done", "failed", "not run"]
ALWAYS_THERE = {"row", "position", "status", "record", "run"}  # also in results of old versions


@final
class Benchmark(TypedDict):
    """A measurement that is no run, as a table.

    kind: always "benchmark"; what: what was measured, in words; machine: on which processor or GPU;
    columns: the heads of the table.
    """

    kind: Literal["benchmark"]
    what: str
    machine: str
    columns: list[str]
    rows: list[list[Any]]


class Outcome(TypedDict):
    """What became of a cell.

    status: what happened; reason: a sentence, unless it is done; record: of its run or
    benchmark; curves: what its trials logged, one row per trial; run: the run id; trace:
    the last frames of an unexpected error.
    """

    status: Status
    reason: str | None
    record: dict[str, Any] | Benchmark | None
    curves: dict[str, list[Any]] | None
    run: str | None
    trace: NotRequired[str]


class Result(Outcome):
    """An outcome, with the cell that it belongs to as it was when it ran."""

    study: str
    row: str
    scale: str
    cell: str
    label: str
    position: int
    values: dict[str, Any]
    settings: dict[str, Any]
    repeats: int


class ResultStore(NamedTuple):
    """Where a sweep writes, at one scale: a folder of run folders, and a folder of results."""

    scale: str
    runs_folder: Path
    results_folder: Path

    def folder(self, row: Row) -> Path:
        """Return the folder of a row's results."""
        return self.results_folder / row.study / self.scale / row.name

    def results_of(self, row: Row) -> list[Result]:
        """Return all results of a row, in the order of its tables."""
        results = [io.read_as(path, _checked) for path in self.folder(row).glob("*.json")]
        return sorted(results, key=lambda result: result["position"])

    def current_results_of(self, row: Row) -> list[Result]:
        """Return the results of the cells that a row has now, with the settings of now.

        A search gives all its results, because its cells depend on them.
        """
        results = self.results_of(row)
        if row.kind == "search":
            return results
        cells = {cell.name: cell for cell in grids.cells(row, self.scale)}
        return [
            result
            for result in results
            if result["cell"] in cells and self.is_current(row, cells[result["cell"]], result)
        ]

    def finished(self, row: Row, cell: Cell) -> Result | None:
        """Return the result of a cell that is done with the settings that the cell has now."""
        path = self.folder(row) / f"{cell.name}.json"
        if not path.exists():
            return None
        result = io.read_as(path, _checked)
        return result if self.is_current(row, cell, result) and result["status"] == "done" else None

    def is_current(self, row: Row, cell: Cell, result: Result) -> bool:
        """Return whether a result has the settings and trials that the cell has now."""
        settings = json.loads(json.dumps(cell.settings))
        return result.get("settings") == settings and result.get("repeats") == row.trials_at(
            self.scale
        )

    def write(self, row: Row, cell: Cell, outcome: Outcome) -> Result:
        """Write what became of a cell, and return it with what the cell was."""
        result: Result = {
            "study": row.study,
            "row": row.name,
            "scale": self.scale,
            "cell": cell.name,
            "label": cell.label,
            "position": cell.position,
            "values": cell.values,
            "settings": cell.settings,
            "repeats": row.trials_at(self.scale),
            **outcome,
        }
        io.make_folder(self.folder(row))
        path = self.folder(row) / f"{cell.name}.json"
        io.write_bytes(path, (json.dumps(result, allow_nan=False) + "\n").encode())
        return result


def _checked(content: Any) -> Result:
    """Return the content of a result's file if it is one; raise an error of any kind if not."""
    if missing := ALWAYS_THERE - content.keys():
        raise KeyError(*sorted(missing))
    if content["record"] and "scores" in content["record"]:
        RunRecord.from_json(content["record"])
    return cast(Result, content)


def stale_file(results_folder: Path, study: str, scale: str) -> Path:
    """Return the file that lists the stale results of a study, for its page.

    It has "<row>/<cell>" -> the run id of the result; `fewshot sweep --status` writes it.
    """
    return results_folder / study / scale / "stale.json"


def listed_stale(results_folder: Path, study: str, scale: str) -> dict[str, str]:
    """Return what the list of a study's stale results contains; empty without one."""
    file = stale_file(results_folder, study, scale)
    return io.read_json(file) if file.exists() else {}


class RowStatus(NamedTuple):
    """How far a row is: numbers of cells, and the expected seconds of those that are left.

    cells: the largest number; done, failed, not_run: of the cells that have a current result;
    stale: of the cells whose result is of another run than their settings now lead to.
    """

    row: Row
    cells: int
    done: int
    failed: int
    not_run: int
    seconds: float
    stale: int = 0


def row_statuses(
    rows: Sequence[Row], store: ResultStore, stale: Iterable[tuple[str, str, str]] = ()
) -> list[RowStatus]:
    """Return how far every row is, read from its results; nothing runs.

    Args:
        rows: the rows.
        store: where the results are.
        stale: study, row and cell of stale results, from `staleness.check`.
    """
    return [_row_status(row, store, set(stale)) for row in rows]


def _row_status(row: Row, store: ResultStore, stale: set[tuple[str, str, str]]) -> RowStatus:
    results = store.current_results_of(row)
    is_stale = [(row.study, row.name, result["cell"]) in stale for result in results]
    statuses = [result["status"] for result, old in zip(results, is_stale, strict=True) if not old]
    n_cells, done = grids.count(row, store.scale), statuses.count("done")
    seconds_per_cell = row.trials_at(store.scale) * row.seconds_at(store.scale)
    return RowStatus(
        row,
        n_cells,
        done,
        statuses.count("failed"),
        statuses.count("not run"),
        max(0, n_cells - done) * seconds_per_cell,
        sum(is_stale),
    )
