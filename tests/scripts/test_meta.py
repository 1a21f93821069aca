"""The tables of meta.md against records made by hand, whose differences SciPy computes again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from scripts import meta, pages
from tests.fewshot.report import handmade

BEFORE, AFTER = (0.40, 0.44, 0.47), (0.46, 0.47, 0.52)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (meta, pages):
        monkeypatch.setattr(module, "RECORDS", tmp_path)
    for name in ("learners", "meta", "memorising"):
        (tmp_path / name).mkdir()
    return tmp_path


def write(path: Path, values: tuple[float, ...], **over: Any) -> None:
    path.write_text(json.dumps(handmade.content(values=values, **over)))


def cells(table: str, *first: str) -> list[str]:
    start = f"| {' | '.join(first)} |"
    (line,) = [line for line in table.splitlines() if line.startswith(start)]
    return [cell.strip() for cell in line[1:-1].split("|")]


def test_trained_untrained_and_reported_stand_side_by_side(folder: Path) -> None:
    write(folder / "learners" / "protonet-16.json", BEFORE)
    write(folder / "meta" / "protonet-shipped-16.json", AFTER)
    write(folder / "meta" / "maml-first-random-4.json", AFTER)
    write(folder / "meta" / "maml-random-untrained-4.json", BEFORE)
    row = cells(meta.accuracies(), "prototypical network", "mini-resnet, shipped weights")
    interval = stats.ttest_rel(AFTER, BEFORE).confidence_interval()
    half = (interval.high - interval.low) / 2
    change = f"43.7 → 48.3 (+4.7 ± {100 * half:.1f})"
    assert row[2:] == ["- → -", "- → -", change, "K9: 46", "+2.3"]
    row = cells(meta.accuracies(), "MAML, first order", "conv4, random weights")
    assert row[2:] == ["- → -", change, "- → -", "K11: 14", ""]


def test_a_meta_training_has_its_own_cost(folder: Path) -> None:
    seconds = {"meta_train_seconds": 81.6, "train_seconds": 0.0, "feature_seconds": 0.0}
    cost = handmade.content()["cost"] | seconds
    config = {
        "train": {"steps": 1500},
        "learner": {"episode_ways": 20, "episode_shots": 5, "episode_queries": 15},
    }
    write(folder / "meta" / "protonet-random-16.json", AFTER, cost=cost, config=config)
    row = cells(meta.costs(), "prototypical network")
    assert row[2:] == ["1,500", "20 classes of 5 + 15", "82", "0.25", "3", "a processor"]


@pytest.mark.parametrize(("steps", "shown"), [(0, "0"), (10, "10"), (None, "5")])
def test_cells_of_the_memorising_experiment(folder: Path, steps: int | None, shown: str) -> None:
    learner = {"relabel": False, "inner_steps": 5, "test_steps": steps, "order": "second"}
    config = {"learner": learner, "train": {"steps": 200}}
    write(folder / "memorising" / "a.json", AFTER, config=config)
    row = cells(meta.memorising(), "always the same")
    assert row[1:3] == ["200, second order", shown]
    assert row[3].startswith("0.4833 ± ")
    assert row[4:] == ["0.2500", "3"]
