"""Trials and records with numbers made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fewshot.runs.assembly import assemble
from fewshot.runs.run_record import RunFacts, RunRecord
from fewshot.runs.trial_record import METRICS, Cost, Provenance, TrialRecord

FACTS = RunFacts(
    run_id="abc",
    method="protonet",
    preset="few",
    backbone="conv4",
    weights="none",
    data="digits",
    data_notes=[],
    regime="low-data",
    shots=4,
    fraction=None,
    classes=["a", "b"],
    n_test=10,
    config={},
)


def trial(seed: int, accuracy: float, validation: float | None = None, **over: Any) -> TrialRecord:
    made = TrialRecord(
        seed=seed,
        scores={metric: accuracy + number / 100 for number, metric in enumerate(METRICS)},
        validation=None if validation is None else dict.fromkeys(METRICS, validation),
        train_accuracy=0.9,
        per_class=[accuracy, accuracy / 2],
        confusion=[[4, 1], [seed, 5 - seed]],
        steps=10,
        labels=8,
        indices_hash=f"hash-{seed}",
        cost=Cost(2.0 + seed, 0.5, 100.0 * (seed + 1), 300.0 - seed, 1234),
        provenance=Provenance(
            commit=f"c{seed}",
            dirty=False,
            versions={"torch": "2"},
            device="a CPU",
            started=f"2024-01-0{seed + 1}T00:00:00+00:00",
            finished=f"2024-02-0{seed + 1}T00:00:00+00:00",
            compute={"device": "cpu"},
        ),
        warnings=["small", f"seed {seed}"],
    )
    return replace(made, **over)


def assembled(*trials: TrialRecord) -> RunRecord:
    return assemble(FACTS, "f1", trials)
