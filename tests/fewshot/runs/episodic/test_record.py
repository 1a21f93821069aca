"""Records of the episodic regime on disk: hand-made files and numbers, JSON's own reader."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.runs import records
from fewshot.runs.episodic import record as episodic
from fewshot.runs.episodic.record import EpisodesRecord, Training
from tests.fewshot.runs.episodic.handmade import record
from tests.fewshot.runs.handmade import assembled, trial

TRAINING = Training("protonet", ["tinyimagenet32"], 120, 66000, 0, 2000, 1500, 60.0, 0.5)


def write(path: Path, content: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, allow_nan=False))
    return path


@pytest.mark.parametrize("changes", [{}, {"training": TRAINING}, {"without_replacement": None}])
def test_a_record_survives_its_file(tmp_path: Path, changes: dict):
    made = record(**changes)
    path = write(tmp_path / "record.json", made.to_json())
    assert episodic.read(path) == made
    assert episodic.load([tmp_path]) == [(path, made)]


def test_the_counts_of_all_tasks_are_one_line_of_the_file(tmp_path: Path):
    made = record(list(range(60)))
    episodic.write(tmp_path / "record.json", made)
    lines = (tmp_path / "record.json").read_text().splitlines()
    assert len(lines) == len(made.to_json()) + 2
    assert json.loads((tmp_path / "record.json").read_text()) == made.to_json()
    assert episodic.read(tmp_path / "record.json") == made


def test_a_record_of_a_later_version_is_read_without_what_is_new(tmp_path: Path):
    path = write(tmp_path / "record.json", {**record().to_json(), "later": 1})
    assert episodic.read(path) == record()


def test_accuracies_are_shares_of_the_queries_of_each_task():
    assert record().accuracies.tolist() == pytest.approx([0.4, 0.6, 0.8])
    unequal = replace(record(), n_queries=[60, 90, 60])
    assert unequal.accuracies.tolist() == pytest.approx([0.5, 0.5, 1.0])
    assert record().tasks_per_second == pytest.approx(5 / 0.5)


def test_a_name_and_a_number_are_shown():
    assert "nearest-mean on cifar10, 3 tasks: accuracy 60.00 ± 49.68 %" in repr(record())


def test_each_regime_finds_its_own_records_alone(tmp_path: Path):
    low_data = write(tmp_path / "mixed/low/record.json", assembled(trial(0, 0.5)).to_json())
    tasks = write(tmp_path / "mixed/tasks/record.json", record().to_json())
    assert [path for path, _ in records.find([tmp_path])] == [low_data]
    assert [path for path, _ in episodic.find([tmp_path])] == [tasks]
    assert isinstance(episodic.load([tmp_path])[0][1], EpisodesRecord)
    with pytest.raises(UserError, match=r"tasks holds only records of `fewshot episodes`"):
        records.find([tasks.parent])
    with pytest.raises(UserError, match=r"low holds only records of `fewshot run`"):
        episodic.find([low_data.parent])
    with pytest.raises(UserError, match="does not exist"):
        episodic.find([tmp_path / "gone"])
