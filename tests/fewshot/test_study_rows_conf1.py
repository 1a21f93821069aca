"""The rows of `kshot` and `architectures`: every reported number has its cell, every cell of every scale is a run."""

from __future__ import annotations

import pytest

from fewshot import config, grids, study
from fewshot.plan import configure
from fewshot.study import Row

STUDIES = config.presets_folder() / "studies"
ROWS = study.read([STUDIES / "architectures", STUDIES / "kshot"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.study}-{row.name}")
def test_each_reported_number_stands_at_a_cell(row: Row) -> None:
    told = [cell.reported for cell in grids.cells(row, "full")]
    for each in row.reported:
        assert any(found.items() >= each.numbers().items() for found in told), each


@pytest.mark.parametrize("scale", study.SCALES)
@pytest.mark.parametrize("row", [row for row in ROWS if row.kind == "grid"], ids=lambda row: f"{row.study}-{row.name}")
def test_each_cell_is_a_configuration_with_its_own_values(row: Row, scale: str) -> None:
    cells = grids.cells(row, scale)
    assert len({cell.name for cell in cells}) == len(cells) > 0
    for cell in cells:
        settings = configure(cell.settings, cell.settings.get("preset", "few")).model_dump()
        for key, value in cell.values.items():
            found = settings
            for part in key.split(".") if "." in key or key in settings else ():
                found = found[part]
            assert found == value or found is settings, (key, value)
    assert row.scale(scale).cuts or scale == "full"


def test_what_the_slides_leave_open_is_sixteen_images_beside_five() -> None:
    for row in (each for each in ROWS if each.study == "kshot" and int(each.name[1:]) in range(6, 16)):
        cells = grids.cells(row, "full")
        trained = {
            cell.settings["shots"] * (1 - (cell.settings.get("validation") or {"share": 0})["share"]) for cell in cells
        }
        assert {round(each) for each in trained} == {16, 5}, row.name
        assert all(cell.settings["shots"] != 5 for cell in cells if cell.reported), row.name


def test_the_seventy_two_settings_of_the_cnn_are_all_run_at_small_scale() -> None:
    (row,) = study.read([STUDIES / "architectures" / "A4.yaml"])
    assert len(grids.cells(row, "small")) == len(grids.cells(row, "full")) == 72
