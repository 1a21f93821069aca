"""The longer meta-training; oracles: a published record with known changes, steps by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fewshot.runs.episodic.record import EpisodesRecord
from scripts import gpu_meta

CPU = gpu_meta.PUBLISHED / "conv4-protonet-5.json"


@pytest.fixture
def published() -> EpisodesRecord:
    return EpisodesRecord.from_json(json.loads(CPU.read_text()))


def test_the_difference_is_paired_over_the_same_tasks(published: EpisodesRecord) -> None:
    better = [min(75, n + 3) for n in published.correct]
    result = gpu_meta.beside(replace(published, correct=better), CPU)
    assert published.n_queries == 75
    gains = [after - before for after, before in zip(better, published.correct, strict=True)]
    assert result["difference"] == pytest.approx(sum(gains) / len(gains) / 75)
    assert result["difference_ci95"] < 0.001  # nearly every task gains the same
    assert result["cpu_accuracy"] == published.accuracy.mean
    assert (result["cpu_steps"], result["n"]) == (320, 2000)


def test_other_tasks_have_no_difference(published: EpisodesRecord) -> None:
    result = gpu_meta.beside(replace(published, tasks_hash="other"), CPU)
    assert "difference" not in result


def test_the_requests_are_those_of_the_published_records(published: EpisodesRecord) -> None:
    for key in ("data", "split"):
        assert gpu_meta.REQUEST[key] == published.config[key]
    assert gpu_meta.REQUEST["backbone"]["name"] == published.config["backbone"]["name"]
    assert gpu_meta.REQUEST["tasks"]["count"] == published.tasks.count
    for method in gpu_meta.METHODS:
        for shots in gpu_meta.SHOTS:
            assert (gpu_meta.PUBLISHED / f"conv4-{method}-{shots}.json").exists()


def test_the_steps_fill_the_time_once_and_stay_in_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def run(values: dict[str, Any], **_: Any) -> SimpleNamespace:
        seconds = values["train"]["steps"] * (0.01 if values["method"] == "protonet" else 0.1)
        return SimpleNamespace(training=SimpleNamespace(seconds=seconds))

    def of_method(method: str, steps: int, *_: Any) -> dict[str, Any]:
        asked.append((method, steps))
        return {}

    monkeypatch.setattr(gpu_meta.experiment, "run", run)
    monkeypatch.setattr(gpu_meta, "_of_method", of_method)
    for seconds in (100.0, 1000.0):
        gpu_meta.measure("cpu", False, tmp_path / "records", seconds)
    # 70 of 100 seconds in two equal shares
    assert asked == 2 * [("protonet", 3400), ("anil", 300)]
