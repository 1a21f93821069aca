"""Every row of the four reports has its file, which loads, and whose cells are requests that can be planned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fewshot.runs import resolve
from fewshot.studies import grids, schema
from fewshot.studies.grids import Cell
from fewshot.studies.results import ResultStore
from fewshot.studies.schema import Row

STUDIES = Path(__file__).parents[3] / "configs" / "studies"
NAMES = {  # as the list of the reports' systems has them
    "architectures": [f"A{number}" for number in range(1, 7)],
    "experts": [f"E{number}" for number in range(1, 13)],
    "hyperparameters": [f"H{number}" for number in range(1, 10)],
    "kshot": [f"K{number}" for number in range(1, 16)],
}
ROWS = schema.read([STUDIES])
RUNS = [row for row in ROWS if row.kind in ("grid", "search")]


def test_every_row_is_there() -> None:
    found: dict[str, list[str]] = {}
    for row in ROWS:
        found.setdefault(row.study, []).append(row.name)
    assert found == NAMES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_smaller_scales_say_what_they_cut(row: Row) -> None:
    for name in ("smoke", "small"):
        changed = row.scale(name)
        same = changed.model_copy(update={"seconds": None}) == schema.Scale()
        assert changed.cuts or same or row.kind == "vote", (
            f"{row.name}: scale {name} does not say what it cuts"
        )
    assert row.question.endswith("?")


@pytest.mark.parametrize("scale", schema.SCALES)
@pytest.mark.parametrize("row", RUNS, ids=lambda row: row.name)
def test_cells_have_names_of_their_own_and_can_be_configured(row: Row, scale: str) -> None:
    cells = every_cell(row, scale)
    assert len({cell.name for cell in cells}) == len(cells)
    assert len({cell.label for cell in cells}) == len(cells)
    for cell in cells:
        settings = resolve.configure(
            cell.settings, cell.settings.get("preset") or "few"
        ).model_dump()
        for key, value in cell.values.items():
            named = any(isinstance(block.get(key), dict) for block in row.grid)
            if not named and ("." in key or key in settings):
                assert _inside(settings, key) == value


def _inside(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def every_cell(row: Row, scale: str) -> list[Cell]:
    """Of a search those of all steps, with the first value of each step before."""
    if row.kind == "grid":
        return grids.cells(row, scale)
    cells = []
    for start in grids.searches(row, scale):
        found = dict(start)
        for number, step in enumerate(row.steps):
            cells += grids.step_cells(row, scale, number, found)
            found[grids.axis_of(step)[0]] = grids.axis_of(step)[1][0]
    return cells


@pytest.mark.parametrize("row", RUNS, ids=lambda row: row.name)
def test_reported_numbers_belong_to_cells(row: Row) -> None:
    """A number whose place fits no cell would be lost without a word."""
    cells = every_cell(row, "full")
    for each in row.reported:
        fitting = [
            cell
            for cell in cells
            if all(cell.values.get(key) == value for key, value in each.at.items())
        ]
        assert fitting, f"{row.name}: no cell has {each.at}"


def test_what_the_slides_leave_open_is_sixteen_images_beside_five() -> None:
    for row in (
        each for each in ROWS if each.study == "kshot" and int(each.name[1:]) in range(6, 16)
    ):
        cells = grids.cells(row, "full")
        trained = {
            cell.settings["shots"]
            * (1 - (cell.settings.get("validation") or {"share": 0})["share"])
            for cell in cells
        }
        assert {round(each) for each in trained} == {16, 5}, row.name
        assert all(cell.settings["shots"] != 5 for cell in cells if cell.reported), row.name


def test_the_seventy_two_settings_of_the_cnn_are_all_run_at_small_scale() -> None:
    (row,) = schema.read([STUDIES / "architectures" / "A4.yaml"])
    assert len(grids.cells(row, "small")) == len(grids.cells(row, "full")) == 72


@pytest.mark.slow
def test_all_studies_run_at_scale_smoke_and_give_a_report(tmp_path: Path) -> None:
    store = ResultStore("smoke", tmp_path / "runs", tmp_path / "runs" / "studies")
    words = [
        sys.executable,
        "-m",
        "fewshot",
        "sweep",
        str(STUDIES),
        "--scale",
        "smoke",
        "--out",
        str(store.runs_folder),
    ]
    swept = subprocess.run(words, capture_output=True, text=True)
    assert swept.returncode == 0, swept.stderr[-3000:]
    missing = [row.name for row in ROWS if not store.results_of(row)]
    assert missing == []
    for row in ROWS:
        for result in store.results_of(row):
            assert result["status"] in ("done", "not run"), (row.name, result["cell"])
    words = [
        sys.executable,
        "-m",
        "fewshot",
        "report",
        str(STUDIES),
        "--scale",
        "smoke",
        "--out",
        str(tmp_path / "told"),
    ]
    told = subprocess.run(
        [*words, "--results", str(store.results_folder)], capture_output=True, text=True
    )
    assert told.returncode == 0, told.stderr
    for name, rows in NAMES.items():
        page = (tmp_path / "told" / f"{name}.md").read_text()
        assert [row for row in rows if f"## {row}: " not in page] == []
