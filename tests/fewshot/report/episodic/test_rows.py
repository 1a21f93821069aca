"""The rows of a study of the episodic regime. Oracle: result files written by hand."""

from __future__ import annotations

from pathlib import Path

import yaml
from typer.testing import CliRunner

from fewshot import io
from fewshot.cli.main import app
from fewshot.report.episodic import rows
from fewshot.studies import grids, schema
from fewshot.studies.executors import outcome
from fewshot.studies.results import ResultStore
from tests.fewshot.report.episodic.synthetic import METHODS, result

ROW = {
    "title": "Heads",
    "question": "Which is best?",
    "source": "a paper",
    "kind": "episodes",
    "base": {"data": "cifar10"},
    "grid": [{"method": [*METHODS], "tasks.shots": [1, 5]}],
    "scales": {"small": {"cuts": ["30 tasks"]}},
}


def test_a_row_shows_its_question_its_tables_and_what_did_not_run(tmp_path: Path):
    file = tmp_path / "configs" / "episodes" / "heads.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(ROW))
    (row,) = schema.read([file])
    store = ResultStore("small", tmp_path / "runs", tmp_path / "results")
    cells = grids.cells(row, "small")
    for cell in cells[:-2]:
        one = result(cell.values["method"], cell.values["tasks.shots"], n=30)
        store.write(row, cell, outcome("done", record=one.to_json(), run=one.run_id))
    store.write(row, cells[-2], outcome("failed", reason="no such head."))
    words = ["report", str(file), "--results", str(tmp_path / "results"), "--out", str(tmp_path)]
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0, run.output
    page = (tmp_path / "episodes.md").read_text()
    for line in (
        "### heads: Heads",
        "Which is best?",
        "- source: a paper",
        "- changed at scale small: 30 tasks",
        "Failed, 1 of 8 settings: method pt-map, shots 1. Reason: no such head.",
        "Not yet run, 1 of 8 settings: method pt-map, shots 5.",
    ):
        assert line in page, line
    assert page.count("| ridge | inductive |") == 2
    assert list((tmp_path / "figures" / "episodes").glob("heads-*.svg"))
    arguments = [file], tmp_path, True, "small", tmp_path / "results"
    assert rows.report(*arguments) == 0
    first = store.results_of(row)[0]
    io.write_json(
        tmp_path / "results/episodes/small/stale.json", {f"heads/{first['cell']}": first["run"]}
    )
    assert rows.report(*arguments) == 1
    assert rows.report(*arguments[:2], False, *arguments[3:]) == 0
    stale = "- stale: measured before the preset, the weights or the code changed, for: method "
    assert f"{stale}nearest-mean, shots 1\n" in (tmp_path / "episodes.md").read_text()


def test_a_cell_has_its_result_at_the_highest_scale(tmp_path: Path, capsys) -> None:
    """Cells of both scales show the method that was written at scale full alone."""
    file = tmp_path / "configs" / "episodes" / "heads.yaml"
    file.parent.mkdir(parents=True)
    first, second, *_ = METHODS
    file.write_text(yaml.safe_dump({**ROW, "grid": [{"method": [first, second]}]}))
    (row,) = schema.read([file])
    cells = grids.cells(row, "small")
    for scale, some, shots in (("small", cells, 1), ("full", cells[:1], 5)):
        store = ResultStore(scale, tmp_path / "runs", tmp_path / "results")
        for cell in some:
            one = result(cell.values["method"], shots, n=30)
            store.write(row, cell, outcome("done", record=one.to_json(), run=one.run_id))
    assert rows.report([file], None, False, "highest", tmp_path / "results") == 0
    page = capsys.readouterr().out
    assert page.count(f"| {first} |") == page.count(f"| {second} |") == 1
    assert "5-shot" in page
    assert "1-shot" in page
    assert "Not yet run" not in page
