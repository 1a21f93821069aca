"""Oracles: the files of a real run read directly, and copies of it that the test damages."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fewshot.errors import UserError
from fewshot.model.restore import restore


@pytest.mark.parametrize("seed", [0, 3])
def test_the_restored_learner_has_the_saved_weights_and_its_labelled_subset(
    run: Path, seed: int
) -> None:
    restored = restore(run, seed)
    saved = load_file(run / f"trial-{seed}" / "model.safetensors")
    state = restored.learner.state_dict()
    assert saved
    for name, value in saved.items():
        assert torch.equal(state[name].cpu(), value), name
    subset = json.loads((run / f"trial-{seed}" / "indices.json").read_text())
    assert restored.train_indices.tolist() == subset["support"]


def test_two_trials_have_different_weights(run: Path) -> None:
    first, second = (restore(run, seed).learner.state_dict() for seed in (0, 3))
    assert any(not torch.equal(first[name], value) for name, value in second.items())


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be damaged."""
    return shutil.copytree(run, tmp_path / run.name)


@pytest.mark.parametrize(
    "name", ["config.yaml", "record.json", "trial-0/indices.json", "trial-0/trial.json"]
)
def test_a_missing_file_is_an_error_that_names_it(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(UserError, match=Path(name).name):
        restore(copy, 0)


def test_damaged_weights_are_an_error_that_names_the_file(copy: Path) -> None:
    weights = copy / "trial-0" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(UserError, match=r"model\.safetensors cannot be read"):
        restore(copy, 0)


def test_indices_that_are_not_those_of_the_trial_are_an_error(copy: Path) -> None:
    path = copy / "trial-0" / "indices.json"
    for content in ({"support": [10**9], "validation": None}, {"suport": []}, [1]):
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match=r"indices\.json is not the one that the record"):
            restore(copy, 0)


def test_other_data_or_weights_than_those_of_the_record_are_an_error(copy: Path) -> None:
    record = json.loads((copy / "record.json").read_text())
    (copy / "record.json").write_text(json.dumps(record | {"run_id": "another"}))
    with pytest.raises(UserError, match="other data or weights"):
        restore(copy, 0)
