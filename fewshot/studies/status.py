"""What a sweep shows: a changing table on a terminal, and a line per finished cell elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fewshot import progress
from fewshot.studies.grids import Cell
from fewshot.studies.results import Result, RowStatus
from fewshot.studies.schema import Row

if TYPE_CHECKING:
    from rich.table import Table

SHOWN_CELLS = 2  # running cells that are named in a row of the table

log = logging.getLogger("fewshot")


class Board:
    """The state of a sweep: counts by row, and what is running.

    `sweep.run` calls `update`. `live` shows the table on a terminal; where stderr is none, every
    finished cell is a log message instead. Failed cells that had no message have one at the end.
    """

    def __init__(self, statuses: Sequence[RowStatus], quiet: bool = False) -> None:
        # Cells that failed or could not run before are tried again.
        self.rows = {_name(one.row): one._replace(failed=0, not_run=0) for one in statuses}
        self.running: dict[tuple[str, str], str] = {}
        self.failures: list[str] = []  # cells that failed without a message, each with its reason
        self.step = ""  # the latest progress of the cell that runs in this process
        self.finished_seconds = 0.0  # expected seconds of the cells that ended since the start
        self.started_at = time.monotonic()
        self.on_terminal = sys.stderr.isatty() and not quiet
        self.quiet = quiet

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the table on a terminal while the block runs, and then what failed."""
        with self._shown():
            yield
        for failure in self.failures:
            log.warning(failure)

    @contextmanager
    def _shown(self) -> Iterator[None]:
        if not self.on_terminal:
            with progress.shown_by(None):
                yield
            return
        from rich.console import Console
        from rich.live import Live

        table = Live(get_renderable=self._table, console=Console(stderr=True), refresh_per_second=2)
        with table, progress.shown_by(self._show_step):
            yield

    def update(self, row: Row, cell: Cell, result: Result | None) -> None:
        """Take note that a cell starts, if `result` is None, or that it ended with a result."""
        key = _name(row), cell.name
        if result is None:
            self.running[key] = cell.label
            return
        self.running.pop(key, None)
        status = self.rows[key[0]]
        seconds = status.seconds / max(1, status.cells - status.done)
        self.finished_seconds += seconds
        self.rows[key[0]] = status._replace(
            # Votes and benchmarks run again in every sweep, so they may have been done before.
            done=min(status.cells, status.done + (result["status"] == "done")),
            failed=status.failed + (result["status"] == "failed"),
            not_run=status.not_run + (result["status"] == "not run"),
            seconds=max(0.0, status.seconds - seconds),
        )
        outcome = result["reason"] or _accuracy(result)
        message = f"{key[0]} {cell.label}: {result['status']}, {outcome}"
        if not self.on_terminal and not self.quiet:
            log.info(f"{message} ({self._left()})")
        elif result["status"] == "failed":
            self.failures.append(message)

    def _show_step(self, text: str) -> None:
        self.step = text

    def _left(self) -> str:
        """Return the minutes left: expected ones, corrected by how long finished cells took."""
        expected = sum(status.seconds for status in self.rows.values())
        elapsed = time.monotonic() - self.started_at
        pace = elapsed / self.finished_seconds if self.finished_seconds else 1.0
        return f"{expected * pace / 60:.0f} min left"

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(
            title=self._left(),
            title_justify="left",
            caption=self.step,
            caption_justify="left",
            box=None,
            pad_edge=False,
        )
        for column in ("row", "done", "failed", "not run", "running"):
            table.add_column(column, justify="left" if column in ("row", "running") else "right")
        for name, status in self.rows.items():
            running = [label for (row, _), label in self.running.items() if row == name]
            more = " ..." if len(running) > SHOWN_CELLS else ""
            table.add_row(
                f"{name}  {status.row.title}",
                f"{status.done}/{status.cells}",
                str(status.failed or ""),
                str(status.not_run or ""),
                "; ".join(running[:SHOWN_CELLS]) + more,
            )
        return table


def text(statuses: Sequence[RowStatus], scale: str) -> str:
    """Return a plain table of every row's cells and trials, and of the time that is left."""
    from tabulate import tabulate

    lines = [
        {
            "row": _name(status.row),
            "title": status.row.title_at(scale),
            "kind": status.row.kind,
            "cells": status.cells,
            "trials per cell": status.row.trials_at(scale),
            "done": status.done,
            "stale": status.stale,
            "failed": status.failed,
            "not run": status.not_run,
            "minutes left": f"{status.seconds / 60:.1f}",
            "needs": ", ".join(status.row.needs_at(scale)),
        }
        for status in statuses
    ]
    n_cells = sum(status.cells for status in statuses)
    minutes = f"{sum(status.seconds for status in statuses) / 60:.0f}"
    unit = "minute" if minutes == "1" else "minutes"
    cells = "1 cell" if n_cells == 1 else f"{n_cells} cells"
    total = f"{cells}, about {minutes} {unit} left on two cores, scale {scale}"
    return f"{tabulate(lines, headers='keys')}\n\n{total}"


def _name(row: Row) -> str:
    return f"{row.study}/{row.name}"


def _accuracy(result: Result) -> str:
    record = result["record"]
    if record is None or "columns" in record:
        return "measured"
    accuracy = record["accuracy"] if "accuracy" in record else record["scores"]["accuracy"]
    return f"accuracy {accuracy['mean']:.4f}"
