"""Oracle: result files written here, and their counts by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.studies import grids
from fewshot.studies.results import Outcome, row_statuses
from tests.fewshot.studies.rows import row_of, store_in

DONE: Outcome = {"status": "done", "reason": None, "record": None, "curves": None, "run": "1"}


def test_a_result_is_finished_as_long_as_its_cell_stays_the_same(tmp_path: Path) -> None:
    base = {"method": "probe", "shots": 4}
    row = row_of(tmp_path, base=base, grid=[{"learner.c": [1.0, 2.0]}])
    store = store_in(tmp_path)
    first, second = grids.cells(row, "full")
    result = store.write(row, first, DONE)
    file = tmp_path / "results" / "one" / "full" / "X1" / "c=1.json"
    assert json.loads(file.read_text()) == result
    assert store.finished(row, first) == result
    assert store.finished(row, second) is None
    more_trials = row_of(tmp_path, base=base, grid=[{"learner.c": [1.0]}], trials=3)
    assert store.finished(more_trials, first) is None
    other_base = row_of(tmp_path, base={**base, "shots": 8}, grid=[{"learner.c": [1.0]}])
    assert store.finished(other_base, grids.cells(other_base, "full")[0]) is None


@pytest.mark.parametrize("content", [{"status": "done"}, [], {**DONE, "record": {"scores": {}}}])
def test_a_damaged_result_is_an_error_that_names_the_file(content: object, tmp_path: Path) -> None:
    row = row_of(tmp_path, base={"method": "probe", "shots": 4})
    (cell,) = grids.cells(row, "full")
    store = store_in(tmp_path)
    store.write(row, cell, DONE)
    (path,) = store.folder(row).glob("*.json")
    if isinstance(content, dict) and len(content) > 1:
        content = {**json.loads(path.read_text()), **content}
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"{path.name} is damaged"):
        store.finished(row, cell)
    with pytest.raises(UserError, match=rf"{path.name} is damaged"):
        store.results_of(row)


def test_results_come_in_the_order_of_the_table(tmp_path: Path) -> None:
    row = row_of(tmp_path, base={"method": "probe", "shots": 4}, grid=[{"shots": [9, 10, 1]}])
    store = store_in(tmp_path)
    for cell in reversed(grids.cells(row, "full")):
        store.write(row, cell, DONE)
    assert [result["label"] for result in store.results_of(row)] == [
        "shots 9",
        "shots 10",
        "shots 1",
    ]


def test_the_status_counts_current_results_and_expected_seconds(tmp_path: Path) -> None:
    row = row_of(
        tmp_path,
        base={"method": "probe"},
        grid=[{"shots": [1, 2, 3, 4]}],
        trials=5,
        seconds=10,
    )
    store = store_in(tmp_path)
    cells = grids.cells(row, "full")
    store.write(row, cells[0], DONE)
    store.write(row, cells[1], {**DONE, "status": "failed"})
    store.write(row, cells[2], {**DONE, "status": "not run"})
    store.write(row, cells[3]._replace(settings={"method": "other"}), DONE)
    (status,) = row_statuses([row], store)
    assert status == (row, 4, 1, 1, 1, 3 * 5 * 10, 0)
    stale = ("one", "X1", cells[0].name)
    (status,) = row_statuses([row], store, [stale, ("other", "X1", cells[1].name)])
    assert status == (row, 4, 0, 1, 1, 4 * 5 * 10, 1)
