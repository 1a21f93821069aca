"""Records against hand-made trials: the numbers, computed by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fewshot.runs.assembly import assemble
from fewshot.runs.run_record import RunRecord
from fewshot.runs.trial_record import Cost, TrialRecord
from tests.fewshot.runs.handmade import FACTS, assembled, trial


def test_the_numbers_of_a_record_by_hand_in_the_order_of_the_seeds() -> None:
    trials = [trial(2, 0.8), trial(0, 0.5), trial(1, 0.6)]
    record = assembled(*trials)
    assert record == assembled(trials[1], trials[2], trials[0])
    assert record.seeds == [0, 1, 2]
    assert record.scores["accuracy"].values == [0.5, 0.6, 0.8]
    assert record.scores["accuracy"].mean == pytest.approx(1.9 / 3)
    assert record.scores["loss"].values == pytest.approx([0.54, 0.64, 0.84])
    assert record.by_seed() == {0: 0.5, 1: 0.6, 2: 0.8}
    assert record.per_class == pytest.approx([1.9 / 3, 0.95 / 3])
    assert record.confusion == [[12, 3], [3, 12]]
    assert record.labels == 8
    assert record.cost == Cost(3.0, 0.5, 200.0, 300.0, 1234)
    assert record.cost.seconds == 3.0  # an old record has those of training alone
    assert record.warnings[:4] == ["small", "seed 0", "seed 1", "seed 2"]
    assert record.provenance.commit == "c2"  # of the trial that finished last
    assert record.provenance.started.startswith("2024-01-01")
    assert record.provenance.finished.startswith("2024-02-03")
    assert record.provenance.indices == {"0": "hash-0", "1": "hash-1", "2": "hash-2"}


def test_seconds_leave_out_the_features_where_all_trials_state_theirs() -> None:
    apart = [
        trial(seed, 0.5, cost=Cost(1.0, 24.0 + seed, None, 1.0, 1, None, 20.0 + 2 * seed))
        for seed in range(2)
    ]
    cost = assembled(*apart).cost
    assert cost == Cost(1.0, 24.5, None, 1.0, 1, None, 21.0)
    assert cost.seconds == pytest.approx(1 + 24.5 - 21)
    old = trial(2, 0.5, cost=Cost(1.0, 60.0, None, 1.0, 1))
    cost = assembled(*apart, old).cost
    assert cost.feature_seconds is None
    assert cost.seconds == pytest.approx(1)
    assert "feature_seconds" not in assembled(old).to_json()["cost"]
    assert TrialRecord.from_json(apart[1].to_json()) == apart[1]


def test_a_single_trial_has_no_spread_and_without_training_no_speed() -> None:
    record = assembled(trial(0, 0.5, cost=Cost(0.0, 0.5, None, 300.0, 1234)))
    assert record.scores["f1"].std is None
    assert record.scores["f1"].ci95 is None
    assert record.cost.images_per_second is None


def test_a_record_warns_if_its_trials_were_computed_differently() -> None:
    computed = {"device": "cpu", "precision": "float32", "channels_last": False, "threads": 2}
    trials = [trial(seed, 0.5) for seed in range(3)]
    ways = [computed, {**computed, "threads": 4}, computed]
    alike, mixed = (
        [
            replace(one, provenance=replace(one.provenance, compute=way))
            for one, way in zip(trials, some_ways, strict=True)
        ]
        for some_ways in ([computed] * 3, ways)
    )
    assert assembled(*alike).warnings == assembled(*trials).warnings
    assert (
        "trials were computed in different ways: seeds 0, 2 on cpu in float32 with --threads 2; "
        "seed 1 on cpu in float32 with --threads 4"
    ) in assembled(*mixed).warnings


def test_a_class_has_the_mean_recall_of_the_trials_that_test_it() -> None:
    first = trial(0, 0.5, per_class=[0.4, None])
    second = trial(1, 0.5, per_class=[0.8, 0.3])
    assert assembled(first, second).per_class == pytest.approx([0.6, 0.3])
    assert assembled(first).per_class == [0.4, None]


def test_measures_are_summarised_if_all_trials_have_them() -> None:
    measured = [
        trial(0, 0.5, measures={"gate": 0.9, "flat": 0.3}),
        trial(1, 0.5, measures={"gate": 0.7}),
    ]
    measures = assembled(*measured).measures
    assert set(measures) == {"gate"}
    assert measures["gate"].mean == pytest.approx(0.8)
    assert measures["gate"].values == [0.9, 0.7]
    # half width: t(0.975, 1) = 12.706, times the deviation 0.2 / sqrt(2), over sqrt(2)
    assert measures["gate"].ci95 == pytest.approx(12.706 * 0.1, rel=1e-4)
    assert assembled(*measured, trial(2, 0.5)).measures == {}
    assert assembled(trial(0, 0.5)).measures == {}


def finetuned(*steps: int, learner: dict[str, Any] | None = None) -> RunRecord:
    """Return the record of a fine-tuning whose trials took so many steps."""
    config = {"train": {"lr": 0.1}, "learner": learner or {"head": "unit"}}
    facts = replace(FACTS, method="finetune", config=config)
    trials = [
        trial(seed, 0.5, steps=n, cost=Cost(float(n), 0.5, None, 1.0, 1))
        for seed, n in enumerate(steps)
    ]
    return assemble(facts, "f1", trials)


def test_a_run_is_named_as_trained_only_if_a_trial_took_a_step() -> None:
    assert finetuned(0, 0).name == "finetune (not trained: probe on frozen features)"
    assert finetuned(0, 0, learner={"head": "linear"}).name == "finetune (not trained)"
    assert finetuned(0, 5).name == finetuned(5, 5).name == "finetune"


def test_a_record_warns_of_trials_that_took_no_step() -> None:
    remark = "of 3 trials took no step of the training, so their results are those of the probe on"
    assert any(text.startswith(f"1 {remark}") for text in finetuned(0, 5, 5).warnings)
    for record in (finetuned(0, 0, 0), finetuned(5, 5, 5)):
        assert not any(remark in text for text in record.warnings)
