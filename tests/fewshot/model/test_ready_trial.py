"""A run predicts without its data set, from any folder.

Oracle: the predictions that the run saved for its test images, and the same run with its data.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from episodes import datasets
from fewshot.errors import UserError
from fewshot.model import predictor, ready_trial
from fewshot.runs import experiment, stored_support
from tests.fewshot.runs.quick_runs import quick

METHODS = ["probe", "protonet", "maml", "siamese", "finetune", "scratch", "experts"]


def images(folder: Path, n: int = 6) -> Path:
    """Class folders of noisy colours."""
    chance = np.random.default_rng(0)
    for label, name in enumerate(("ant", "bee", "car", "van")):
        (folder / name).mkdir(parents=True)
        for number in range(n):
            pixels = chance.integers(0, 120, (24, 24, 3)).astype(np.uint8)
            pixels[..., label % 3] += 60 + 20 * label
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "groups.yaml").write_text("animal: [ant, bee]\nvehicle: [car, van]\n")
    return folder


def saved_logits(run: Path) -> np.ndarray:
    saved = np.load(run / "trial-0" / "predictions.npz")
    return saved["test_logits"] / saved["temperature"]


@pytest.mark.parametrize("method", METHODS)
def test_predictions_without_the_data_are_those_of_the_trial(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = images(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    values = quick(method, data="photos", shots=3, test=0.2)
    if method == "probe":
        values["backbone"] = {"name": "mini-resnet", "weights": "pretrained"}
    record = experiment.run(values, [0], out=Path("runs"))
    pixels = datasets.load(str(data), test=0.2).test.images.numpy()
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    data.rename(tmp_path / "gone")
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    run = tmp_path / "elsewhere" / record.run_id
    loaded = predictor.load(run)
    np.testing.assert_allclose(loaded.logits(pixels).numpy(), saved_logits(run), 1e-4, 1e-4)
    assert loaded.classes == ("ant", "bee", "car", "van")
    assert loaded.decoding.size == pixels.shape[-1]


def test_a_trial_of_an_older_version_needs_the_data(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / run.name)
    expected = ready_trial.load(copy, 0)
    (copy / "trial-0" / stored_support.FILE).unlink()
    loaded = ready_trial.load(copy, 0)
    assert torch.equal(loaded.support.images, expected.support.images)
    assert torch.equal(loaded.support.labels, expected.support.labels)
    assert loaded.on_features == expected.on_features
    assert loaded.classes == expected.classes
    assert loaded.decoding == expected.decoding


def test_weights_of_the_users_own_are_copied_and_changed_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = images(tmp_path / "photos")
    first = experiment.run(quick("scratch", data="photos", shots=3), [0], out=Path("runs"))
    shutil.copy(
        tmp_path / "runs" / first.run_id / "trial-0" / "model.safetensors", "mine.safetensors"
    )
    backbone = {"name": "conv4", "options": {"width": 8}, "weights": "mine.safetensors"}
    values = quick("probe", data="photos", shots=3, backbone=backbone)
    run = tmp_path / "runs" / experiment.run(values, [0], out=Path("runs")).run_id
    (tmp_path / "mine.safetensors").unlink()
    shutil.rmtree(data)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert ready_trial.load(run, 0).classes == ("ant", "bee", "car", "van")
    copy = run / "backbone-weights.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(copy).items()}, copy)
    with pytest.raises(UserError, match="other weights"):
        ready_trial.load(run, 0)


def test_a_damaged_file_is_named(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / run.name)
    path = copy / "trial-0" / stored_support.FILE
    for content in (b"", b"x" * 100, path.read_bytes()[:-5]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"support\.safetensors cannot be read"):
            ready_trial.load(copy, 0)
