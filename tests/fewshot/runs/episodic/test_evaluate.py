"""Warnings and facts of records against hand-made cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fewshot.backbones import class_names
from fewshot.runs.episodic import evaluate, task_sets
from fewshot.runs.episodic.record import EpisodesRecord
from fewshot.runs.episodic.resolve import Sources, resolve
from tests.fewshot.runs.episodic.quick import SPLIT, quick


def record(out: Path, method: str, data: Path, **more: object) -> EpisodesRecord:
    run = resolve(quick(method, data, **more), out, "cpu", sources=Sources())
    tasks = task_sets.of_run(run.config.tasks, run.pool).tasks
    return evaluate.evaluate(run, tasks, ())


def test_a_pretraining_on_classes_of_the_tasks_is_a_warning(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    build = evaluate.backbones.build

    def pretrained(settings):
        backbone = build(settings)
        backbone.pretraining = class_names.of_data("others", ("class-3", "something"))
        return backbone

    monkeypatch.setattr(evaluate.backbones, "build", pretrained)
    warnings = record(tmp_path, "lda", colours).warnings
    assert any("was pretrained on 1 of 2 classes of others" in one for one in warnings)


def test_facts_of_a_record(colours: Path, tmp_path: Path):
    made = record(tmp_path, "bd-cspn", colours, split=SPLIT)
    assert made.transductive
    assert made.cost.parameters > 0
    assert made.cost.peak_memory_mb > 0
    assert made.cost.evaluation_seconds > 0
    assert made.cost.train_seconds == 0
    assert made.config["data"] == "colours"
    assert "precision" not in made.config
    assert len(made.classes) == 5
    assert made.part == "novel"
    assert EpisodesRecord.from_json(made.to_json()) == made
    assert replace(made, warnings=[]) != made


def test_600_tasks_are_no_reason_for_a_warning(colours: Path, tmp_path: Path):
    few, enough = (
        record(tmp_path, "nearest-mean", colours, tasks={"count": count}) for count in (599, 600)
    )
    assert len(few.warnings) == len(enough.warnings) + 1
    assert few.warnings[0].startswith("599 tasks are few")
