"""Records against hand-made trials: the shape on disk, and typed reading."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fewshot import io
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord, VotingRun
from fewshot.runs.trial_record import TrialRecord
from tests.fewshot.runs.handmade import FACTS, assembled, trial


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@pytest.mark.parametrize("with_validation", [True, False])
def test_a_record_on_disk_has_every_promised_key_in_its_shape(
    tmp_path: Path, with_validation: bool
) -> None:
    validation = 0.6 if with_validation else None
    trials = [trial(seed, 0.5 + seed / 10, validation) for seed in range(3)]
    io.write_json(tmp_path / "record.json", assembled(*trials).to_json())
    record = io.read_json(tmp_path / "record.json")
    for key in ("run_id", "method", "backbone", "data", "regime", "shots", "fraction"):
        assert record[key] == getattr(FACTS, key)
    assert record["seeds"] == [0, 1, 2]
    for scores in [record["scores"], *([record["validation"]] if with_validation else [])]:
        assert set(scores) == {"accuracy", "precision", "recall", "f1", "loss", "ece", "brier"}
        for score in scores.values():
            assert set(score) == {"mean", "std", "ci95", "values"}
            assert all(is_number(score[key]) for key in ("mean", "std", "ci95"))
            assert len(score["values"]) == 3
    assert (record["validation"] is None) is not with_validation
    assert set(record["train_accuracy"]) == {"mean", "std", "ci95", "values"}
    assert len(record["per_class"]) == 2
    assert [len(row) for row in record["confusion"]] == [2, 2]
    cost = ("train_seconds", "adapt_seconds", "images_per_second", "peak_memory_mb", "parameters")
    assert all(is_number(record["cost"][key]) for key in cost)
    provenance = record["provenance"]
    known = {"commit", "dirty", "versions", "device", "data_fingerprint", "started", "finished"}
    assert known <= set(provenance)
    assert provenance["data_fingerprint"] == "f1"
    started, finished = (datetime.fromisoformat(provenance[key]) for key in ("started", "finished"))
    assert started < finished
    assert isinstance(record["warnings"], list)


# typed reading


def test_records_and_trials_survive_json() -> None:
    made = trial(1, 0.7, 0.6, measures={"gate": 0.9})
    assert TrialRecord.from_json(json.loads(json.dumps(made.to_json()))) == made
    record = replace(assembled(made), members=[VotingRun("a", "probe", [0, 1])])
    content = json.loads(json.dumps(record.to_json()))
    assert RunRecord.from_json(content) == record
    assert content["members"] == [{"run_id": "a", "method": "probe", "seeds": [0, 1]}]
    assert "members" not in assembled(made).to_json()


def test_every_published_record_is_read_and_written_unchanged() -> None:
    published = Path(__file__).parents[3] / "reports" / "records"
    listed = records.find([published / "learners", published / "forecast"])
    assert len(listed) > 20
    for _, content in listed:
        assert json.dumps(RunRecord.from_json(content).to_json()) == json.dumps(content)


def test_a_record_is_shown_in_one_line_and_in_a_notebook_as_a_table() -> None:
    record = assembled(trial(0, 0.5), trial(1, 0.7, warnings=["<small>"]))
    assert repr(record) == (
        "RunRecord(protonet (not trained: nearest mean of frozen features) on digits, 8 labels, "
        "2 trials: accuracy 0.6000 (0.0476 to 0.9783), run abc)"
    )
    shown = record._repr_html_()
    assert "<td>accuracy</td><td>0.6000 (0.0476 to 0.9783)</td>" in shown
    assert "&lt;small&gt;" in shown


def test_a_repeat_that_lacks_folds_makes_no_classes_unequal() -> None:
    # four images in four folds: six of ten trials test an image of the first class
    record = replace(
        assembled(trial(0, 1.0)),
        confusion=[[6, 0], [0, 4]],
        n_test=4,
        folds=4,
        seeds=list(range(10)),
    )
    assert not record.unequal_test
    assert record.baseline == ("a", 0.5, 0.5)


def test_folds_that_keep_groups_together_have_other_images() -> None:
    plain, grouped, no_folds = (
        replace(assembled(trial(0, 0.5)), folds=folds, config={"group_by": group_by})
        for folds, group_by in ((4, None), (4, "prefix"), (None, "prefix"))
    )
    assert plain.images == "f1 4 folds"
    assert grouped.images == "f1 4 folds by prefix"
    assert no_folds.images == "f1"
