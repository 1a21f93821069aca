"""Oracle: presets, weights and versions that the test changes, between runs of digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from fewshot.runs import resolve, run_ids, run_settings
from fewshot.studies import grids, staleness, sweep
from fewshot.studies.results import Outcome, ResultStore
from fewshot.studies.schema import Row
from tests.fewshot.studies.rows import QUICK, rows_of, store_in

PROBE = {"method": "probe", "data": "digits", "shots": 5, "backbone": QUICK["backbone"]}
GRID = [{"learner.c": [1.0, 2.0]}]


def finished(tmp_path: Path, **base: Any) -> tuple[list[Row], ResultStore]:
    """Sweep a row of two cells."""
    rows = rows_of(tmp_path, X1={"base": {**PROBE, **base}, "grid": GRID, "trials": 1})
    store = store_in(tmp_path)
    sweep.run(rows, store)
    assert len(store.results_of(rows[0])) == 2
    return rows, store


def swept(rows: list[Row], store: ResultStore) -> list[str]:
    """Sweep again and return the cells that ran."""
    ran: list[str] = []
    sweep.run(rows, store, on_cell=lambda row, cell, result: ran.append(cell.name))
    return ran[::2]


def test_nothing_is_stale_as_long_as_nothing_changed(tmp_path: Path) -> None:
    rows, store = finished(tmp_path)
    assert staleness.check(rows, store) == ({}, {})
    assert swept(rows, store) == []


def test_cells_of_a_changed_preset_run_again(tmp_path: Path) -> None:
    preset = tmp_path / "own.yaml"
    preset.write_text("learner: {centre: true}")
    rows, store = finished(tmp_path, preset=str(preset))
    preset.write_text("learner: {centre: false}")
    old = {result["cell"]: result["run"] for result in store.results_of(rows[0])}
    checked = staleness.check(rows, store)
    assert {cell: result["run"] for (_, _, cell), result in checked.stale.items()} == old
    assert swept(rows, store) == ["c=1", "c=2"]
    assert staleness.check(rows, store) == ({}, {})
    assert all(result["run"] != old[result["cell"]] for result in store.results_of(rows[0]))


def test_another_version_of_the_code_makes_all_stale_and_a_commit_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, store = finished(tmp_path)
    monkeypatch.setattr(run_ids, "RESULTS_VERSION", run_ids.RESULTS_VERSION + 1)
    assert len(staleness.check(rows, store).stale) == 2


def test_other_weights_under_the_same_name_make_a_result_stale(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    settings = {"name": "conv4", "options": {"width": 4}, "weights": str(weights)}
    network = run_settings.build_learner(
        run_settings.configure({**PROBE, "backbone": {**settings, "weights": "none"}}, "few"),
        resolve.Task(10),
        seed=0,
    ).backbone
    state = {
        key: tensor.contiguous()
        for key, tensor in network.body.state_dict().items()
        if tensor.is_floating_point() or tensor.dim() == 0
    }
    save_file(state, weights)
    rows, store = finished(tmp_path, backbone=settings)
    assert staleness.check(rows, store).stale == {}
    save_file({key: tensor + 1 for key, tensor in state.items()}, weights)
    assert len(staleness.check(rows, store).stale) == 2


def test_without_the_data_nothing_is_checked_and_nothing_runs_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = rows_of(tmp_path, X1={"base": {**PROBE, "data": "nowhere"}, "grid": GRID})
    store = store_in(tmp_path)
    done: Outcome = {"status": "done", "reason": None, "record": None, "curves": None, "run": "1"}
    for cell in grids.cells(rows[0], "full"):
        store.write(rows[0], cell, done)
    checked = staleness.check(rows, store)
    assert (checked.stale, len(checked.unchecked)) == ({}, 2)
    assert swept(rows, store) == []
    assert staleness.report(checked, store) == 0
    assert "2 settings not checked: not on this machine" in caplog.text


def test_a_vote_is_stale_if_one_of_its_voters_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(
        tmp_path,
        X1={"base": PROBE, "grid": GRID, "trials": 1},
        X2={"kind": "vote", "rows": ["X1"], "rules": ["soft"]},
    )
    store = store_in(tmp_path)
    sweep.run(rows, store)
    assert staleness.check(rows, store).stale == {}
    current = resolve.run_id_of
    monkeypatch.setattr(
        resolve,
        "run_id_of",
        lambda values: "new" if values["learner"]["c"] == 2.0 else current(values),
    )
    stale = staleness.check(rows, store).stale
    assert [(row, cell) for _, row, cell in stale] == [("X1", "c=2"), ("X2", "rule=soft-best=100")]


def test_the_list_names_what_is_stale_and_keeps_what_was_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows, store = finished(tmp_path)
    file = store.results_folder / "one" / "full" / "stale.json"
    staleness.write_lists(rows, store, staleness.check(rows, store))
    assert not file.exists()
    first, second = store.results_of(rows[0])
    listed = {"X1/c=2": second["run"], "X9/all": "kept"}
    file.write_text(json.dumps({**listed, "X1/gone": "dropped"}))
    stale = {("one", "X1", "c=1"): first}
    checked = staleness.Checked(stale, {("one", "X1", "c=2"): "no data"})
    assert staleness.report(checked, store) == 1
    assert "one/X1 c 1: stale, its run was" in caplog.text
    staleness.write_lists(rows, store, checked)
    assert json.loads(file.read_text()) == {"X1/c=1": first["run"], **listed}
    assert staleness.report(checked, store) == 0
    file.write_text(json.dumps({"X1/c=1": first["run"]}))
    staleness.write_lists(rows, store, staleness.Checked({}, {}))
    assert not file.exists()
