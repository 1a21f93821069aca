"""The tables of gpu.md against the raw records, and the publication of a campaign against them."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

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
    campaign = tmp_path / "campaign"
    (campaign / "records").mkdir(parents=True)
    for name in gpu_report.CPU:
        (campaign / "records" / f"{name}.json").write_text(json.dumps({"name": name}))
    parts = {name: {"state": "done", "result": {"n": 1}} for name in ("probe", "target")}
    (campaign / "summary.json").write_text(json.dumps(parts))
    gpu_report.publish(campaign, tmp_path / "published")
    assert json.loads((tmp_path / "published" / "fast.json").read_text()) == {"name": "fast"}
    assert json.loads((tmp_path / "published" / "summary.json").read_text()) == {
        "probe": {"state": "done"},
        "target": {"state": "done", "result": {"n": 1}},
    }


def test_the_figure_ends_at_the_last_epoch() -> None:
    (axes,) = gpu_report.figure().axes
    x, y = axes.lines[0].get_data()
    last = content("gpu/summary")["target"]["result"]["curve"][-1]
    assert (x[-1], y[-1]) == (last["seconds"], 100 * last["accuracy"])
