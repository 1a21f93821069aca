"""The table of the Omniglot challenge. Oracles: numpy and scipy on correct counts, and names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fewshot import io
from fewshot.runs.episodic import settings
from scripts import omniglot
from tests.fewshot.runs.episodic import handmade


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(omniglot, "FOLDER", tmp_path)
    return tmp_path


def test_the_table_has_the_error_with_both_intervals(folder: Path) -> None:
    correct = np.random.default_rng(0).integers(10, 21, (3, 20))  # of 20 queries, [seeds, runs]
    for seed, counts in enumerate(correct):
        record = handmade.record(counts.tolist(), n_queries=20)
        io.write_json(folder / f"protonet-small1-{seed}.json", record.to_json())
    rows = [line[2:-2].split(" | ") for line in omniglot.table().splitlines()]
    (row,) = [row for row in rows if row[:2] == ["prototypical network", "small1"]]
    errors = 100 * (1 - correct / 20)
    assert row[2:4] == ["3", f"{errors.mean():.1f}"]
    for cell, values in zip(row[4:6], (errors.mean(1), errors.mean(0)), strict=True):
        half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
        assert cell == f"± {half:.1f}"
    assert sum("not run" in row for row in rows) == 3


def test_every_seed_of_each_method_and_set_is_trained_once(folder: Path) -> None:
    paths = [training.path for training in omniglot.trainings()]
    assert len(set(paths)) == len(paths) == 20
    assert {training.seed for training in omniglot.trainings()[:4]} == {0}
    assert paths[0].parent == folder


@pytest.mark.parametrize("training", omniglot.trainings()[:4], ids=lambda one: one.path.stem)
def test_a_request_is_complete_and_trains_on_turned_classes(training: omniglot.Training) -> None:
    settled, method = settings.settle(training.request)
    assert method.learner == training.method
    assert settled.base == (training.base,)
    assert settled.train is not None
    assert settled.train.turned_classes
    assert settled.tasks.sampler == "superclasses"
