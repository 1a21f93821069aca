"""The tables of gpu.md against the raw records, and the publication of a campaign against them."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from scripts import gpu_report
from scripts.pages import RECORDS


def content(name: str) -> dict[str, Any]:
    return json.loads((RECORDS / f"{name}.json").read_text())


def cells(table: str, first: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line[1:-1].split("|")]


def test_differences_to_the_cpu_are_paired_by_seed() -> None:
    cpu, gpu = content("fulldata/fast-full"), content("gpu/fast")
    assert cpu["run_id"] == gpu["run_id"]
    values = [
        dict(zip(one["seeds"], one["scores"]["accuracy"]["values"], strict=True))
        for one in (cpu, gpu)
    ]
    gaps = [values[1][seed] - values[0][seed] for seed in values[1]]
    row = cells(gpu_report.accuracy(), "scratch (fast), all training images")
    assert row[3].startswith(f"{statistics.fmean(gaps):+.4f} ± ")
    assert row[4:] == [f"{max(map(abs, gaps)):.4f}", "3"]


def test_costs_are_those_of_both_devices() -> None:
    cpu, gpu = content("learners/finetune-16")["cost"], content("gpu/finetune")["cost"]
    row = cells(gpu_report.cost(), "finetune, 16 labels per class")
    assert row[1] == f"{cpu['train_seconds']:.0f}"
    assert row[3] == f"{gpu['train_seconds']:.1f}"
    assert row[4] == f"{cpu['train_seconds'] / gpu['train_seconds']:.0f}"
    assert row[6] == f"{gpu['images_per_second']:,.0f}"


def test_every_run_is_the_published_one() -> None:
    for pair in gpu_report.read():
        assert pair.cpu.run_id == pair.gpu.run_id
        assert pair.gpu.provenance.device == gpu_report.device()


def test_an_accuracy_that_was_not_reached_has_no_seconds() -> None:
    curve = content("gpu/summary")["target"]["result"]["curve"]
    assert max(point["accuracy"] for point in curve) < 0.94
    assert cells(gpu_report.target(), "0.94") == ["0.94", "-", "not reached"]
    (first,) = [point for point in curve if point["accuracy"] >= 0.9][:1]
    assert cells(gpu_report.target(), "0.90")[2] == f"{first['seconds']:.1f}"


def test_a_campaign_is_published_without_what_its_records_hold(tmp_path: Path) -> None:
    campaign, published = tmp_path / "campaign", tmp_path / "published"
    (campaign / "records").mkdir(parents=True)
    for name in ("probe", "meta-anil-1"):
        (campaign / "records" / f"{name}.json").write_text(json.dumps({"name": name}))
    parts = {
        "probe": {"state": "done", "result": {"n": 1}},
        "meta": {"state": "done", "result": {"n": 2}},
        "grid": {"state": "unfinished", "result": {"n": 3}},
        "fast": {"state": "timed out", "result": {"n": 4}},
    }
    (campaign / "settings.json").write_text('{"toy": false, "device": "cuda"}')
    (campaign / "summary.json").write_text(json.dumps(parts))
    (published / "gpu").mkdir(parents=True)
    before = {"fast": {"state": "done"}, "target": {"state": "done", "result": {"n": 5}}}
    (published / "gpu" / "summary.json").write_text(json.dumps(before))
    gpu_report.publish(campaign, published)
    assert json.loads((published / "gpu" / "probe.json").read_text()) == {"name": "probe"}
    assert json.loads((published / "gpu" / "meta-anil-1.json").read_text()) == {
        "name": "meta-anil-1"
    }
    assert json.loads((published / "gpu" / "summary.json").read_text()) == {
        **before,
        "probe": {"state": "done"},
        "meta": {"state": "done", "result": {"n": 2}},
        "grid": {"state": "unfinished", "result": {"n": 3}},
    }


def test_finished_settings_of_the_grid_are_published_as_results_of_the_study(
    tmp_path: Path,
) -> None:
    campaign, records = tmp_path / "campaign", tmp_path / "records"
    results = campaign / "results" / "architectures" / "full" / "A4"
    results.mkdir(parents=True)
    for name, status in (("good", "done"), ("bad", "failed")):
        (results / f"{name}.json").write_text(json.dumps({"status": status}))
    (campaign / "settings.json").write_text('{"toy": false, "device": "cuda"}')
    (campaign / "summary.json").write_text("{}")
    gpu_report.publish(campaign, records)
    (path,) = (records / "architectures" / "full" / "A4").glob("*.json")
    assert path.name == "good.json"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"toy": True, "device": "cuda"}, "is a toy campaign"),
        ({"toy": False, "device": "cpu"}, "not those of a GPU"),
    ],
)
def test_a_toy_and_a_campaign_on_a_cpu_are_not_published(
    settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(SystemExit, match=message):
        gpu_report.publish(tmp_path, tmp_path / "records")
    assert not (tmp_path / "records").exists()


def test_parts_without_a_result_are_not_measured_yet() -> None:
    measured = content("gpu/summary")
    for name in ("meta", "wider", "grid", "episodes", "probe"):
        row = cells(gpu_report.parts(), name)
        assert (row[1] == "not measured yet") == (name not in measured)


def test_the_figure_ends_at_the_last_epoch() -> None:
    (axes,) = gpu_report.figure().axes
    x, y = axes.lines[0].get_data()
    last = content("gpu/summary")["target"]["result"]["curve"][-1]
    assert (x[-1], y[-1]) == (last["seconds"], 100 * last["accuracy"])
