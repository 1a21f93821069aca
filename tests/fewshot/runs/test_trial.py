"""Oracles: scores computed anew from the saved predictions, and the times of the written files."""

import json

import numpy as np
import pytest
import torch

from fewshot.runs import trial
from fewshot.runs.resolve import ResolvedRun, resolve_run


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> ResolvedRun:
    """A run of a probe whose first trial is finished."""
    request = {
        "method": "probe",
        "data": "digits",
        "shots": 2,
        "precision": "float32",
        "backbone": {"name": "conv4", "options": {"width": 4}, "weights": "none"},
    }
    resolved = resolve_run(request, tmp_path_factory.mktemp("runs"), "cpu")
    trial.run_trial(resolved, 0)
    return resolved


def read(run: ResolvedRun, seed: int) -> dict:
    return json.loads((run.trial_folder(seed) / "trial.json").read_text())


def test_the_scores_are_those_of_the_saved_predictions(resolved: ResolvedRun) -> None:
    record = read(resolved, 0)
    with np.load(resolved.trial_folder(0) / "predictions.npz") as arrays:
        classes, labels = arrays["test_logits"].argmax(1), arrays["test_labels"]
    np.testing.assert_array_equal(labels, resolved.data.test.labels)
    assert record["scores"]["accuracy"] == pytest.approx((classes == labels).mean(), abs=0.005)
    recalls = [(classes[labels == label] == label).mean() for label in range(10)]
    assert record["per_class"] == pytest.approx(recalls, abs=0.03)
    assert np.array(record["confusion"]).sum(1).tolist() == [50] * 10
    assert record["labels"] == 20
    assert record["cost"]["parameters"] > 0


def test_a_finished_trial_is_not_run_again_unless_forced(resolved: ResolvedRun) -> None:
    path = resolved.trial_folder(0) / "trial.json"
    before = path.stat().st_mtime_ns
    scores = read(resolved, 0)["scores"]
    trial.run_trial(resolved, 0)
    assert path.stat().st_mtime_ns == before
    trial.run_trial(resolved, 0, force=True)
    assert path.stat().st_mtime_ns > before
    assert read(resolved, 0)["scores"] == scores


def test_an_unfinished_trial_is_completed_and_its_temporary_files_are_removed(
    resolved: ResolvedRun,
) -> None:
    folder = resolved.trial_folder(4)
    folder.mkdir(parents=True)
    unfinished = folder / f"predictions.npz{trial.io.PART}"
    unfinished.write_bytes(b"half")
    trial.run_trial(resolved, 4)
    assert not unfinished.exists()
    assert read(resolved, 4)["seed"] == 4
    assert read(resolved, 4)["indices_hash"] != read(resolved, 0)["indices_hash"]


@pytest.mark.parametrize(("n", "expected"), [(5, [0, 1, 2, 3, 4]), (1, [0])])
def test_few_training_images_are_all_evaluated(n: int, expected: list[int]) -> None:
    assert trial._spread(n).tolist() == expected


def test_many_training_images_are_sampled_evenly() -> None:
    positions = trial._spread(50_000)
    assert len(positions) == trial.TRAIN_ACCURACY_IMAGES
    assert (int(positions[0]), int(positions[-1])) == (0, 49_999)
    assert set(torch.diff(positions).tolist()) <= {4, 5, 6}
