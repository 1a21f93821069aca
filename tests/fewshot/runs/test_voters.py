"""Oracles: run folders written by the test, whose seeds, arrays and subsets are known."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fewshot.errors import UserError
from fewshot.runs import run_record, voters, voting
from tests.fewshot.runs.test_voting import LABELS, noise, right, run, trial


def test_runs_are_sorted_by_run_id_with_their_folders(tmp_path: Path) -> None:
    b, a = run(tmp_path, "b", trial(noise(0))), run(tmp_path, "a", trial(noise(1)))
    runs = voters.find([tmp_path])
    assert [finished.folder for finished in runs] == [a, b]
    assert [str(finished) for finished in runs] == ["a (probe)", "b (probe)"]


def test_a_vote_by_seed_has_one_trial_of_each_run(tmp_path: Path) -> None:
    run(tmp_path, "a", trial(noise(0)), trial(noise(1)))
    run(tmp_path, "b", trial(noise(2)), trial(noise(3)), first_seed=1)
    groups = voters.groups(voters.find([tmp_path]), pool=False)
    keys = {seed: [voter.key for voter in group] for seed, group in groups.items()}
    assert keys == {1: [("a", 1), ("b", 1)]}


def test_a_pooled_vote_has_all_trials_of_all_runs(tmp_path: Path) -> None:
    run(tmp_path, "a", trial(noise(0)), trial(noise(1)))
    run(tmp_path, "b", trial(noise(2)), first_seed=7)
    ((seed, group),) = voters.groups(voters.find([tmp_path]), pool=True).items()
    assert seed is None
    assert [voter.key for voter in group] == [("a", 0), ("a", 1), ("b", 7)]


def pair(folder: Path, **second: np.ndarray) -> list[voters.Voter]:
    """Return two voters with validation sets; keywords change the second one's trial."""
    run(folder, "a", trial(noise(0), right(3)))
    run(folder, "b", trial(noise(1), right(2), **second))
    return voters.groups(voters.find([folder]), pool=False)[0]


def test_saved_arrays_are_those_of_the_file(tmp_path: Path) -> None:
    first, _ = pair(tmp_path)
    logits = voters.saved_array(first, "test_logits")
    np.testing.assert_array_equal(logits.numpy(), noise(0))
    with pytest.raises(UserError, match="cannot be read"):
        voters.saved_array(first, "no_such_array")


def test_common_test_labels_are_returned_and_different_ones_are_an_error(tmp_path: Path) -> None:
    group = pair(tmp_path / "same")
    assert torch.equal(voters.test_labels(group), torch.from_numpy(LABELS))
    with pytest.raises(UserError, match="evaluated on different test labels"):
        voters.test_labels(pair(tmp_path / "other", labels=LABELS[::-1].copy()))


def test_subsets_are_listed_once_for_each_hash(tmp_path: Path) -> None:
    subsets = voters.labelled_indices(pair(tmp_path))
    assert list(subsets.values()) == [([0, 20, 21, 22, 23], [7, 9, 11, 12], None)]


def test_a_common_validation_set_is_returned_and_its_absence_is_an_error_if_required(
    tmp_path: Path,
) -> None:
    labels = voters.validation_labels(pair(tmp_path / "same"), required=True)
    assert labels is not None
    assert labels.tolist() == [2, 0, 1, 0]
    group = pair(tmp_path / "other", validation_indices=[1, 2, 3, 4])
    assert voters.validation_labels(group, required=False) is None
    with pytest.raises(UserError, match="have different validation sets"):
        voters.validation_labels(group, required=True)


def test_the_one_trial_of_a_run_whose_trials_cannot_differ_votes_for_every_seed(
    tmp_path: Path,
) -> None:
    run(tmp_path, "a", trial(noise(0)), trial(noise(1)), trial(noise(2)))
    place = run(tmp_path, "b", trial(noise(3)), first_seed=7)
    record = json.loads((place / "record.json").read_text())
    record["warnings"] = [run_record.ONE_TRIAL]
    (place / "record.json").write_text(json.dumps(record))
    groups = voters.groups(voters.find([tmp_path]), pool=False)
    keys = {seed: [voter.key for voter in group] for seed, group in groups.items()}
    assert keys == {seed: [("a", seed), ("b", 7)] for seed in range(3)}
    (vote,) = voting.vote([tmp_path], out=tmp_path / "votes")
    assert vote.seeds == [0, 1, 2]
    assert [(voter.run_id, voter.seeds) for voter in vote.members or ()] == [
        ("a", [0, 1, 2]),
        ("b", [7]),
    ]
    assert not any("left out" in warning for warning in vote.warnings)


def test_a_vote_of_runs_whose_trials_cannot_differ_is_one_trial(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 5)):
        place = run(tmp_path, name, trial(noise(seed)), first_seed=seed)
        record = json.loads((place / "record.json").read_text())
        (place / "record.json").write_text(
            json.dumps({**record, "warnings": [run_record.ONE_TRIAL]})
        )
    (vote,) = voting.vote([tmp_path], out=tmp_path / "votes")
    assert vote.has_one_trial
    assert len(vote.seeds) == 1
