"""Oracle: the file names and records that are expected of results written here by hand."""

from __future__ import annotations

from pathlib import Path

from fewshot.runs.episodic import record as records
from fewshot.studies import grids, schema
from fewshot.studies.results import ResultStore
from scripts import cross_domain
from tests.fewshot.report.episodic.synthetic import result


def test_records_of_finished_cells_are_copied(tmp_path: Path) -> None:
    row = schema.read([cross_domain.STUDY / "cross-domain-cifar10.yaml"])[0]
    store = ResultStore("full", tmp_path / "studies", tmp_path / "studies")
    cells = grids.cells(row, "full")
    first, last = cells[0], cells[-1]
    nothing = {"reason": None, "curves": None, "run": None}
    record = result("nearest-mean").to_json()
    store.write(row, first, {"status": "done", "record": record, **nothing})
    store.write(row, last, {"status": "done", "record": record, **nothing})
    failed = {**nothing, "reason": "no memory"}
    store.write(row, cells[1], {"status": "failed", "record": None, **failed})
    names = cross_domain.copy(tmp_path / "studies", tmp_path / "out")
    assert names == [
        "cifar10-1-balanced-nearest-mean.json",
        "cifar10-5-dirichlet-tim-paper.json",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    assert records.read(tmp_path / "out" / names[0]).method == "nearest-mean"
