"""The study rows of the episodic regime. Oracle: the checks of `fewshot episodes` itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.runs.episodic import settings
from fewshot.studies import grids, schema
from fewshot.studies.schema import Row

FOLDER = Path(__file__).parents[3] / "configs" / "studies" / "episodes"
ROWS = schema.read([FOLDER]) if FOLDER.is_dir() else []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_smaller_scales_state_what_they_change(row: Row) -> None:
    assert row.episodic
    assert row.question.endswith("?")
    for name in ("smoke", "small"):
        scale = row.scale(name)
        unchanged = scale.model_copy(update={"seconds": None}) == schema.Scale()
        assert scale.cuts or unchanged, f"{row.name}, scale {name}"
    assert row.scale("smoke").cuts, f"{row.name} has no scale of seconds"


@pytest.mark.parametrize("scale", schema.SCALES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_cells_have_names_of_their_own_and_their_settings_are_valid(row: Row, scale: str) -> None:
    cells = grids.cells(row, scale)
    assert len({cell.name for cell in cells}) == len(cells)
    for cell in cells:
        settled = settings.settle(cell.settings).config
        assert settled.regime == "episodic"
        shots = cell.values.get("tasks.shots")
        assert shots is None or settled.tasks.shots == shots
        if scale != "smoke":
            assert settled.tasks.sampler == "superclasses" or settled.tasks.count >= 600
