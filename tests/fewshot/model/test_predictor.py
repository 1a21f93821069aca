"""Oracles: the predictions that a real run saved, and the same images one at a time."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from episodes import datasets
from fewshot.errors import UserError
from fewshot.model import predictor


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """The first forty test images of the run's data set."""
    return datasets.load("digits").test.images[:40].numpy()


@pytest.mark.parametrize("seed", [None, 0, 3])
def test_logits_are_those_that_the_trial_saved(
    run: Path, pixels: np.ndarray, seed: int | None
) -> None:
    loaded = predictor.load(run, seed)
    saved = np.load(run / f"trial-{seed or 0}" / "predictions.npz")
    assert saved["temperature"] != 1
    expected = saved["test_logits"][:40] / saved["temperature"]
    np.testing.assert_allclose(loaded.logits(pixels).numpy(), expected, rtol=1e-4, atol=1e-4)
    assert loaded.classes == tuple("0123456789")
    assert loaded.decoding.size == 32


def test_an_image_has_the_same_logits_alone_and_in_a_batch(run: Path, pixels: np.ndarray) -> None:
    logits = predictor.load(run).logits
    together = logits(pixels[:5])
    alone = torch.cat([logits(pixels[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_fingerprint_changes_with_the_trial_and_with_its_result(
    run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(run, tmp_path / run.name)
    fingerprint = predictor.load(run, 0).fingerprint
    assert predictor.load(copy, 0).fingerprint == fingerprint
    assert predictor.load(run, 3).fingerprint != fingerprint
    result = copy / "trial-0" / "trial.json"
    result.write_text(json.dumps(json.loads(result.read_text()) | {"steps": 5}))
    assert predictor.load(copy, 0).fingerprint != fingerprint


def test_a_folder_without_a_record_and_an_unknown_trial_are_errors(run: Path) -> None:
    with pytest.raises(UserError, match="finished run"):
        predictor.load(run.parent)
    with pytest.raises(UserError, match=r"no trial 7.*0, 3"):
        predictor.load(run, 7)


def test_a_vote_has_no_network_to_load(run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "record.json").read_text())
    (tmp_path / "record.json").write_text(json.dumps(record | {"method": "voting"}))
    with pytest.raises(UserError, match="is a vote"):
        predictor.load(tmp_path)
