"""Oracle: tables and lines written out by hand, under a clock that the test sets."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from fewshot.studies import grids, status
from fewshot.studies.results import Outcome, row_statuses
from tests.fewshot.studies.rows import row_of, store_in

FAILED: Outcome = {
    "status": "failed",
    "reason": "no such option.",
    "record": None,
    "curves": None,
    "run": None,
}
DONE: Outcome = {
    **FAILED,
    "status": "done",
    "reason": None,
    "record": {"scores": {"accuracy": {"mean": 0.51234}}},
}


def test_the_plain_table_sums_cells_and_minutes(tmp_path: Path) -> None:
    grid = [{"shots": [1, 2, 4]}]
    row = row_of(tmp_path, base={"method": "probe"}, grid=grid, trials=4, seconds=30, needs=["a"])
    lines = status.text(row_statuses([row], store_in(tmp_path)), "full").splitlines()
    assert lines[2].split() == ["one/X1", "T", "grid", "3", "4", "0", "0", "0", "0", "6", "a"]
    assert lines[-1] == "3 cells, about 6 minutes left on two cores, scale full"


def test_a_single_cell_is_no_plural(tmp_path: Path) -> None:
    row = row_of(tmp_path, base={"method": "probe"}, grid=[{"shots": [1]}], trials=2, seconds=30)
    text = status.text(row_statuses([row], store_in(tmp_path)), "full")
    assert text.endswith("1 cell, about 1 minute left on two cores, scale full")


def test_every_finished_cell_is_a_message_with_the_minutes_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="fewshot")
    grid = [{"shots": [1, 2, 4]}]
    row = row_of(tmp_path, base={"method": "probe"}, grid=grid, trials=1, seconds=60)
    store = store_in(tmp_path)
    seconds = 1000.0
    monkeypatch.setattr(status.time, "monotonic", lambda: seconds)
    board = status.Board(row_statuses([row], store))
    for cell, outcome in zip(grids.cells(row, "full"), (DONE, FAILED), strict=False):
        board.update(row, cell, None)
        seconds += 120  # twice as slow as expected
        board.update(row, cell, store.write(row, cell, outcome))
    assert caplog.messages == [
        "one/X1 shots 1: done, accuracy 0.5123 (4 min left)",
        "one/X1 shots 2: failed, no such option. (2 min left)",
    ]
    assert (board.rows["one/X1"].done, board.rows["one/X1"].failed) == (1, 1)


def test_cells_that_did_not_run_before_and_succeed_now_are_counted_as_done_alone(
    tmp_path: Path,
) -> None:
    row = row_of(tmp_path, base={"method": "probe"}, grid=[{"shots": [1, 2]}])
    store, cells = store_in(tmp_path), grids.cells(row, "full")
    not_run: Outcome = {**FAILED, "status": "not run"}
    for cell, outcome in zip(cells, (FAILED, not_run), strict=True):
        store.write(row, cell, outcome)
    (before,) = row_statuses([row], store)
    assert (before.done, before.failed, before.not_run) == (0, 1, 1)
    board = status.Board([before], quiet=True)
    for cell in cells:
        board.update(row, cell, store.write(row, cell, {**DONE, "record": None}))
    after = board.rows["one/X1"]
    assert (after.done, after.failed, after.not_run) == (2, 0, 0)


def test_a_quiet_board_names_what_failed_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = row_of(tmp_path, base={"method": "probe", "shots": 1})
    store = store_in(tmp_path)
    board = status.Board(row_statuses([row], store), quiet=True)
    (cell,) = grids.cells(row, "full")
    with board.live():
        board.update(row, cell, store.write(row, cell, FAILED))
        assert caplog.messages == []
    assert caplog.messages == ["one/X1 T: failed, no such option."]


def test_a_quiet_board_counts_and_shows_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="fewshot")
    row = row_of(tmp_path, base={"method": "probe", "shots": 1})
    store = store_in(tmp_path)
    board = status.Board(row_statuses([row], store), quiet=True)
    (cell,) = grids.cells(row, "full")
    with board.live():
        board.update(row, cell, store.write(row, cell, DONE))
    assert caplog.messages == []
    assert board.rows["one/X1"].done == 1
    again = status.Board(list(board.rows.values()), quiet=True)
    again.update(row, cell, store.write(row, cell, DONE))  # as a vote, which every sweep repeats
    assert again.rows["one/X1"].done == 1
