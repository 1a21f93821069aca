"""What a sweep says while it works: a table that changes on a terminal, a line for every cell elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fewshot.studies.grids import Cell
from fewshot.studies.results import Progress
from fewshot.studies.schema import Row


class Board:
    """Counts by row and what is running; `tell` is what `sweep.run` calls."""

    def __init__(self, known: Sequence[Progress], quiet: bool = False) -> None:
        self.rows = {_name(each.row): each for each in known}
        self.spent = 0.0  # expected seconds of what has ended since
        self.running: dict[tuple[str, str], str] = {}
        self.began = time.monotonic()
        self.quiet = quiet
        self.live: Any = None

    def __enter__(self) -> Board:
        if sys.stderr.isatty() and not self.quiet:
            from rich.console import Console
            from rich.live import Live

            self.live = Live(
                get_renderable=self._table, console=Console(stderr=True), refresh_per_second=2
            )
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.stop()

    def tell(self, row: Row, cell: Cell, result: Mapping[str, Any] | None) -> None:
        """A cell begins, or ended with its result."""
        key = _name(row), cell.name
        if result is None:
            self.running[key] = cell.label
            return
        self.running.pop(key, None)
        known = self.rows[key[0]]
        status = result["status"]
        share = known.seconds / max(1, known.cells - known.done)
        self.spent += share
        self.rows[key[0]] = known._replace(
            done=known.done + (status == "done"),
            failed=known.failed + (status == "failed"),
            not_run=known.not_run + (status == "not run"),
            seconds=max(0.0, known.seconds - share),
        )
        if self.live is None and not self.quiet:
            said = result["reason"] or _accuracy(result["record"])
            print(
                f"{key[0]} {cell.label}: {status}, {said} ({self._left()})",
                file=sys.stderr,
                flush=True,
            )

    def _left(self) -> str:
        """Minutes left: what the rows expect, corrected by how long what has ended took."""
        left = sum(each.seconds for each in self.rows.values())
        pace = (time.monotonic() - self.began) / self.spent if self.spent else 1.0
        return f"{left * pace / 60:.0f} min left"

    def _table(self) -> Any:
        from rich.table import Table

        table = Table(title=self._left(), title_justify="left", box=None, pad_edge=False)
        for column in ("row", "done", "failed", "not run", "running"):
            table.add_column(column, justify="left" if column in ("row", "running") else "right")
        for name, each in self.rows.items():
            running = [label for (row, _), label in self.running.items() if row == name]
            table.add_row(
                f"{name}  {each.row.title}", f"{each.done}/{each.cells}", str(each.failed or ""),
                str(each.not_run or ""), "; ".join(running[:2]) + (" ..." if len(running) > 2 else ""),
            )  # fmt: skip
        return table


def text(known: Sequence[Progress], scale: str) -> str:
    """Every row's cells and draws, and the time that is expected for what is left, as a table in plain text."""
    from tabulate import tabulate

    rows = [
        (
            _name(each.row), each.row.title, each.row.kind, each.cells, each.row.draws(scale), each.done,
            each.failed, each.not_run, f"{each.seconds / 60:.1f}", ", ".join(each.row.needed(scale)),
        )
        for each in known
    ]  # fmt: skip
    headers = (
        "row",
        "title",
        "kind",
        "cells",
        "draws each",
        "done",
        "failed",
        "not run",
        "minutes left",
        "needs",
    )
    minutes = sum(each.seconds for each in known) / 60
    total = f"{sum(each.cells for each in known)} cells, about {minutes:.0f} minutes left on two cores, scale {scale}"
    return f"{tabulate(rows, headers=headers)}\n\n{total}"


def _name(row: Row) -> str:
    return f"{row.study}/{row.name}"


def _accuracy(record: Mapping[str, Any]) -> str:
    if "scores" not in record:
        return "measured"
    score = record["scores"]["accuracy"]
    return f"accuracy {score['mean']:.4f}"
