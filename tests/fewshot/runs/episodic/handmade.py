"""Records of the episodic regime, written by hand for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fewshot.config import TaskSettings
from fewshot.evaluation import task_scores
from fewshot.runs.episodic.record import EpisodesCost, EpisodesRecord
from fewshot.runs.trial_record import Provenance


def record(correct: list[int] | None = None, **changes: Any) -> EpisodesRecord:
    """Return a record of three 5-way 1-shot tasks of 75 queries, with some values changed."""
    correct = [30, 45, 60] if correct is None else correct
    made = EpisodesRecord(
        run_id="0123456789ab",
        method="nearest-mean",
        name="nearest-mean",
        transductive=False,
        preset="",
        backbone="mini-resnet",
        weights="pretrained",
        data="cifar10",
        data_notes=[],
        split=None,
        part="novel",
        classes=["a", "b", "c", "d", "e"],
        n_images=500,
        tasks=TaskSettings(count=len(correct)),
        tasks_hash="f" * 16,
        correct=correct,
        n_queries=75,
        accuracy=task_scores.over_tasks(correct, 75),
        without_replacement=task_scores.over_tasks([30, 60], 75),
        without_replacement_correct=[30, 60],
        training=None,
        cost=EpisodesCost(0.5, 2.0, 0.0, 100.0, 1000),
        provenance=Provenance("c" * 40, False, {}, "a processor", "2026-01-01", "2026-01-02"),
        warnings=[],
        config={"method": "nearest-mean"},
    )
    return replace(made, **changes)
