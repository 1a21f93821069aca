"""The tables of new parts; oracle: records of a CPU stand for records of a GPU."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from scripts import gpu_tables
from tests.scripts.test_gpu_report import cells, content


@pytest.fixture
def gpu(tmp_path: Path) -> Path:
    """Return the folder of published records, in which nothing was measured."""
    (tmp_path / "summary.json").write_text("{}")
    return tmp_path


def test_what_was_not_measured_says_so(gpu: Path) -> None:
    assert gpu_tables.meta(gpu).count("not measured yet") == 4
    assert cells(gpu_tables.wider(gpu), "shipped")[2].startswith("0.6970 ± ")
    assert gpu_tables.wider(gpu).count("not measured yet") == 1
    assert gpu_tables.grid(gpu) == "The 72 settings of row A4 at scale full: not measured yet."


def test_a_measurement_is_shown(gpu: Path) -> None:
    for method in ("protonet", "anil"):
        for shots in (1, 5):
            record = content(f"episodes/tinyimagenet/conv4-{method}-{shots}")
            (gpu / f"meta-{method}-{shots}.json").write_text(json.dumps(record))
    for name, record in (("wider", "learners/protonet-16"), ("shipped", "learners/probe-16")):
        (gpu / f"wider-probe-{name}.json").write_text(json.dumps(content(record)))
    shot = {"difference": 0.0123, "difference_ci95": 0.004}
    meta = {"steps": 5000, "1-shot": shot, "5-shot": {}}
    wider = {"widths": "8, 8", "epochs": 12.0, "pretrain_seconds": 61.2, "taught_by": "nobody"}
    grid = {"done": 30, "settings": 72, "trials_each": 3, "processes": 18, "mps": True}
    grid |= {"trials_now": 90, "seconds": 270.0, "best": "batch 64", "best_accuracy": 0.7312}
    results = {"meta": {"protonet": meta, "anil": meta}, "wider": wider, "grid": grid}
    summary = {name: {"state": "done", "result": result} for name, result in results.items()}
    (gpu / "summary.json").write_text(json.dumps(summary))
    rows = gpu_tables.meta(gpu).splitlines()
    assert "| protonet | 1 | 320 | 35.19 ± 0.41 | 5,000 | 35.19 ± 0.41 | +1.2 ± 0.4 |" in rows
    assert "| anil | 5 | 240 | 46.41 ± 0.42 | 5,000 | 46.41 ± 0.42 | other tasks |" in rows
    table = gpu_tables.wider(gpu)
    values = [content(f"learners/{name}-16")["scores"]["accuracy"]["values"]
              for name in ("protonet", "probe")]  # fmt: skip
    change = statistics.fmean(values[0]) - statistics.fmean(values[1])
    assert cells(table, "wider, widths 8, 8")[1] == "12 epochs in 61 s, taught by nobody"
    assert f"Wider minus shipped on the same GPU: {change:+.4f} ± " in table
    assert "and finished 20.0 trainings a minute" in gpu_tables.grid(gpu)
    assert "batch 64, at a test accuracy of 73.1%" in gpu_tables.grid(gpu)
    grid |= {"done": 0, "best": None, "best_accuracy": None}
    (gpu / "summary.json").write_text(json.dumps({"grid": {"state": "unfinished", "result": grid}}))
    assert gpu_tables.grid(gpu).startswith("0 of 72 settings")
    assert "best" not in gpu_tables.grid(gpu)
