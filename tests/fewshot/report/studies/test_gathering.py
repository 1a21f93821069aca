"""Cells at the highest scale that they have. Oracle: a study file and results written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fewshot.report.studies import gathering, report
from fewshot.report.studies.results import CellResult, RowResult
from fewshot.studies import grids, schema
from fewshot.studies.schema import Row
from tests.fewshot.study_results import record, save

ROW: dict[str, Any] = {
    "title": "Rates",
    "question": "Which rate is best?",
    "source": "slide 3",
    "base": {"method": "scratch", "full": True},
    "grid": [{"network": {"A": {}, "B": {}}, "train.lr": [0.1, 0.2]}],
    "reported": [
        {"at": {"network": "A"}, "accuracy": 0.3},
        {"at": {"network": "B"}, "accuracy": 0.9},
    ],
    "trials": 5,
    "seconds": 600,
    "scales": {
        "full": {"only": {"network": ["A"]}, "trials": 3, "cuts": ["3 of 5 trials", "only A"]},
        "small": {
            "drop": [{"network": ["B"], "train.lr": [0.2]}],
            "set": {"fraction": 0.1, "full": None},
            "stand_ins": {"B": "C in B's place"},
            "seconds": 10,
            "cuts": ["a tenth of the images"],
        },
    },
}


def files(folder: Path, **row: Any) -> Path:
    """Write the study file and return its folder."""
    place = folder / "configs" / "mine"
    place.mkdir(parents=True, exist_ok=True)
    (place / "M1.yaml").write_text(yaml.safe_dump({**ROW, **row}))
    return place


def finish(folder: Path, row: Row, scale: str, names: dict[str, str], **more: Any) -> None:
    """Write the published records of these names as results of cells."""
    for cell in grids.every_cell(row, scale):
        if cell.name in names:
            content = record(names[cell.name]) if names[cell.name] else None
            save(folder, row, cell, content, values=cell.values, scale=scale, **more)


def gathered(place: Path, results: Path, scale: str = "highest") -> RowResult:
    (study,) = gathering.gather(gathering.read([place], scale), results, scale)
    return study.rows[0]


def by_label(row: RowResult) -> dict[str, CellResult]:
    return {cell.label: cell for cell in row.cells}


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A at 0.1 at both scales, A at 0.2 and B at 0.1 at scale small only, B at 0.2 at none."""
    (row,) = schema.read([files(tmp_path)])
    small = {
        "A-lr=0.1": "scratch-p0.1",
        "A-lr=0.2": "scratch-p0.05",
        "B-lr=0.1": "finetune-p0.1",
    }
    finish(tmp_path / "results", row, "small", small)
    finish(tmp_path / "results", row, "full", {"A-lr=0.1": "scratch-p0.1"})
    return tmp_path


def test_each_cell_has_its_highest_scale(mixed: Path) -> None:
    row = gathered(mixed / "configs" / "mine", mixed / "results")
    cells = by_label(row)
    assert {label: (cell.status, cell.scale) for label, cell in cells.items()} == {
        "A, lr 0.1": ("done", "full"),
        "A, lr 0.2": ("done", "small"),
        "B, lr 0.1": ("done", "small"),
        "B, lr 0.2": ("not run", ""),
    }
    assert not any(cell.changed for cell in row.cells)
    assert [cell.stand_in for cell in row.cells] == ["", "", "C in B's place", ""]
    assert row.scales == ["full", "small"]
    assert cells["B, lr 0.2"].reason == "it would take about 50 minutes on two cores"
    assert [cell.seconds for cell in row.cells] == [1800, 1800, 3000, 3000]


def test_one_scale_alone_shows_no_result_of_another(mixed: Path) -> None:
    row = gathered(mixed / "configs" / "mine", mixed / "results", "full")
    assert [(cell.label, cell.scale, cell.status) for cell in row.cells] == [
        ("A, lr 0.1", "full", "done"),
        ("A, lr 0.2", "", "not yet run"),
    ]
    row = gathered(mixed / "configs" / "mine", mixed / "results", "small")
    assert [cell.scale for cell in row.cells] == ["small"] * 3


def test_a_failure_at_scale_full_does_not_hide_a_result_at_scale_small(mixed: Path) -> None:
    (row,) = schema.read([mixed / "configs" / "mine"])
    failed = {"A-lr=0.2": ""}
    finish(mixed / "results", row, "full", failed, status="failed", reason="no memory.")
    cells = by_label(gathered(mixed / "configs" / "mine", mixed / "results"))
    assert (cells["A, lr 0.2"].status, cells["A, lr 0.2"].scale) == ("done", "small")
    (mixed / "results" / "mine" / "small" / "M1" / "A-lr=0.2.json").unlink()
    cells = by_label(gathered(mixed / "configs" / "mine", mixed / "results"))
    assert (cells["A, lr 0.2"].status, cells["A, lr 0.2"].reason) == ("failed", "no memory.")


def test_a_stale_result_is_listed_at_its_own_scale(mixed: Path) -> None:
    run = record("scratch-p0.1")["run_id"]
    for scale, is_stale in (("small", False), ("full", True)):
        listed = mixed / "results" / "mine" / scale / "stale.json"
        listed.write_text(json.dumps({"M1/A-lr=0.1": run}))
        cells = by_label(gathered(mixed / "configs" / "mine", mixed / "results"))
        assert cells["A, lr 0.1"].stale == is_stale


def test_a_search_has_one_scale_that_of_no_fewer_cells(tmp_path: Path) -> None:
    place = files(
        tmp_path,
        kind="search",
        grid=[{"network": {"A": {}, "B": {}}}],
        steps=[{"train.lr": [0.1, 0.2]}],
        reported=[],
        scales={"small": {"cuts": ["few images"]}},
    )
    (row,) = schema.read([place])
    names = ["1-A-lr=0.1", "1-A-lr=0.2", "1-B-lr=0.1", "1-B-lr=0.2"]
    finish(tmp_path / "results", row, "small", dict.fromkeys(names, "scratch-p0.1"))
    finish(tmp_path / "results", row, "full", dict.fromkeys(names[:3], "scratch-p0.1"))
    shown = gathered(place, tmp_path / "results")
    assert {cell.name: cell.scale for cell in shown.cells} == {
        "1-A-lr=0.1": "full",
        "1-A-lr=0.2": "full",
        "1-B-lr=0.1": "small",
        "1-B-lr=0.2": "small",
    }


def test_the_page_counts_scales_apart_and_says_what_was_cut(
    mixed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A was reported as 0.3 for both rates; one was measured at scale small, so it counts there."""
    place = mixed / "configs" / "mine"
    assert report.from_files([place], None, False, "highest", mixed / "results") == 0
    page = capsys.readouterr().out
    for words in (
        "evaluated on 10,000 test images; scale full: 3 of 5 trials; only A**",
        "evaluated on 10,000 test images; scale small: a tenth of the images**",
        "at the scale of its row",
        "1 reported accuracy was measured again at scale small: 1 exceeded, 0 not reached.",
        "1 reported accuracy was measured again with another network in the place of the report's",
        "Run: 1 of 1 rows, 3 of 4 settings",
        "1 setting at scale full and 2 settings at scale small",
        "Not run, 1 of 4 settings: B, lr 0.2 \\[reported: accuracy 0.90\\].",
        "## What was not run at scale full",
        "| M1 | A, lr 0.2 | 0.30 | scale small | 30 minutes |",
        "| M1 | B, lr 0.2 | 0.90 | nothing | 50 minutes |",
        "| M1 | B, lr 0.1 | 0.90 | scale small: C in B's place | 50 minutes |",
        "| all |  |  |  | 2.2 hours |",
    ):
        assert words in page, words
    assert report.from_files([place], None, False, "full", mixed / "results") == 0
    page = capsys.readouterr().out
    assert "1 reported accuracy was measured again at scale full: 1 exceeded" in page
    assert "What was not run" not in page
    assert "scale small" not in page


def test_without_results_a_warning_names_both_scales(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    place = files(tmp_path)
    assert report.from_files([place], None, False, "highest", tmp_path / "results") == 0
    assert "mine: no results of scale full or small" in caplog.text
    assert "| M1 | 2 of 4 settings |  | nothing |" not in capsys.readouterr().out
