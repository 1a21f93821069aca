"""Results of a sweep's cells, a file each: written by the sweep, read by what tells. Imports nothing heavy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fewshot import io
from fewshot.studies import grids
from fewshot.studies.grids import Cell
from fewshot.studies.schema import Row

Result = dict[str, Any]


class Places(NamedTuple):
    """scale: of the settings; out: folder of run folders; results: folder of the cells' results."""

    scale: str
    out: Path
    results: Path

    def folder(self, row: Row) -> Path:
        return self.results / row.study / self.scale / row.name

    def of(self, row: Row) -> list[Result]:
        """All results of a row, in the order of its tables."""
        found = [io.read_json(path) for path in self.folder(row).glob("*.json")]
        return sorted(found, key=lambda each: each["position"])

    def finished(self, row: Row, cell: Cell) -> Result | None:
        """The result of a cell that is done, and was asked for then as it is asked for now."""
        path = self.folder(row) / f"{cell.name}.json"
        if not path.exists():
            return None
        result = io.read_json(path)
        return result if self.asks(row, cell, result) and result["status"] == "done" else None

    def asks(self, row: Row, cell: Cell, result: Result) -> bool:
        """Whether a result is of what the cell asks for now."""
        asked = json.loads(
            json.dumps({"settings": cell.settings, "repeats": row.draws(self.scale)})
        )
        return all(result.get(key) == value for key, value in asked.items())

    def write(self, row: Row, cell: Cell, outcome: Mapping[str, Any]) -> Result:
        """What came of a cell, with what it was."""
        result = {
            "study": row.study,
            "row": row.name,
            "scale": self.scale,
            "cell": cell.name,
            "label": cell.label,
            "position": cell.position,
            "values": cell.values,
            "settings": cell.settings,
            "repeats": row.draws(self.scale),
            **outcome,
        }
        io.make_folder(self.folder(row))
        path = self.folder(row) / f"{cell.name}.json"
        io.write_bytes(path, (json.dumps(result, allow_nan=False) + "\n").encode())
        return result


class Progress(NamedTuple):
    """What there is of a row: cells at most, finished, failed, not run; expected seconds of what is left."""

    row: Row
    cells: int
    done: int
    failed: int
    not_run: int
    seconds: float


def progress(rows: Sequence[Row], places: Places) -> list[Progress]:
    """What is there and what is left of every row, read from the results; nothing is run."""
    found = []
    for row in rows:
        results = places.of(row)
        if row.kind != "search":  # what a search asks for depends on what it found
            cells = {cell.name: cell for cell in grids.cells(row, places.scale)}
            results = [
                each
                for each in results
                if each["cell"] in cells and places.asks(row, cells[each["cell"]], each)
            ]
        states = [result["status"] for result in results]
        n_cells, done = grids.count(row, places.scale), states.count("done")
        left = max(0, n_cells - done) * row.draws(places.scale) * row.draw_seconds(places.scale)
        found.append(
            Progress(row, n_cells, done, states.count("failed"), states.count("not run"), left)
        )
    return found
