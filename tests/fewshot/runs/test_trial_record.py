"""Older scores that counted classes without test images, against scikit-learn on the others."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as reference

from fewshot.config.origins import Origin
from fewshot.runs.run_record import RunRecord
from fewshot.runs.trial_record import TrialRecord
from tests.fewshot.runs.handmade import assembled, trial

TRUE, PREDICTED, N_WAY = [0, 0, 0, 1, 1, 1, 1, 1], [0, 2, 0, 1, 1, 0, 3, 1], 4


def old_trial(seed: int) -> TrialRecord:
    """Return a trial whose scores count the two classes without test images as 0."""
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        TRUE, PREDICTED, labels=range(N_WAY), zero_division=0
    )
    confusion = reference.confusion_matrix(TRUE, PREDICTED, labels=range(N_WAY))
    means = {"precision": precision.mean(), "recall": recall.mean(), "f1": f1.mean()}
    scores = {"accuracy": 5 / 8, **means, "loss": 1.0, "ece": 0.1}
    scores = {name: float(value) * (1 + 0.01 * seed) for name, value in scores.items()}
    return trial(seed, 0.6, scores=scores, per_class=recall.tolist(), confusion=confusion.tolist())


def expected() -> dict[str, float]:
    rows = reference.classification_report(TRUE, PREDICTED, output_dict=True, zero_division=0)
    names = {"precision": "precision", "recall": "recall", "f1": "f1-score"}
    return {ours: np.mean([rows[way][name] for way in "01"]) for ours, name in names.items()}


def test_a_trial_of_an_older_version_is_read_over_the_tested_classes() -> None:
    content = json.loads(json.dumps(old_trial(0).to_json()))
    content["per_class"][2:] = [0.0, 0.0]
    read = TrialRecord.from_json(content)
    assert {name: read.scores[name] for name in expected()} == pytest.approx(expected())
    assert read.scores["accuracy"] == 5 / 8
    assert read.per_class == [pytest.approx(2 / 3), pytest.approx(3 / 5), None, None]
    assert TrialRecord.from_json(read.to_json()) == read


def test_a_record_of_an_older_version_has_the_interval_of_the_corrected_trials() -> None:
    content = json.loads(json.dumps(assembled(old_trial(0), old_trial(1)).to_json()))
    content["per_class"][2:] = [0.0, 0.0]
    read = RunRecord.from_json(content)
    trials = [TrialRecord.from_json(old_trial(seed).to_json()) for seed in (0, 1)]
    values = [one.scores["recall"] for one in trials]
    assert read.scores["recall"].values == pytest.approx(values)
    assert read.scores["recall"].std == pytest.approx(np.std(values, ddof=1))
    assert read.scores["loss"].values == [1.0, 1.01]
    assert read.per_class[2:] == [None, None]
    assert read.unequal_test


def test_the_origin_of_the_weights_is_in_the_record_and_old_records_lack_it() -> None:
    origin = Origin("net", "net, ImageNet", "a-package 1.0", "Apache-2.0", "0" * 64)
    record = trial(0, 0.6)
    known = replace(record, provenance=replace(record.provenance, weights=(origin,)))
    content = json.loads(json.dumps(known.to_json()))
    assert content["provenance"]["weights"] == [
        {
            "network": "net",
            "weights": "net, ImageNet",
            "source": "a-package 1.0",
            "licence": "Apache-2.0",
            "sha256": "0" * 64,
        }
    ]
    assert TrialRecord.from_json(content) == known
    assert "weights" not in record.to_json()["provenance"]
    assert TrialRecord.from_json(record.to_json()).provenance.weights == ()
