"""Oracle: the images of the data set at the indices that the trial saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from episodes import datasets
from fewshot.runs import experiment, stored_support
from tests.fewshot.runs.quick_runs import quick


def test_the_labelled_images_are_stored_as_they_are(run: Path) -> None:
    images = datasets.load("digits").train
    for seed in (0, 3):
        trial = run / f"trial-{seed}"
        support = json.loads((trial / "indices.json").read_text())["support"]
        stored = load_file(trial / stored_support.FILE)
        assert torch.equal(stored["images"], images.images[support])
        assert torch.equal(stored["labels"], images.labels[support])
        content = stored_support.read(trial)
        assert content is not None
        assert content.task.classes == images.classes
        assert not content.on_features


def test_of_a_trained_head_one_image_of_each_class_is_stored(tmp_path: Path) -> None:
    record = experiment.run(quick("scratch"), [0], out=tmp_path)
    stored = load_file(tmp_path / record.run_id / "trial-0" / stored_support.FILE)
    assert stored["labels"].tolist() == list(range(10))


def test_a_run_stores_a_bounded_number_of_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="fewshot")
    size = 40 * (3 * 32 * 32 + 8)  # of the images and labels of one trial
    monkeypatch.setattr(stored_support, "LIMIT", size + 4000)
    record = experiment.run(quick("protonet"), [0, 1, 2], out=tmp_path)
    files = [tmp_path / record.run_id / f"trial-{k}" / stored_support.FILE for k in range(3)]
    assert [file.exists() for file in files] == [True, False, False]
    assert caplog.text.count("will need the data set as it is now") == 2


def test_features_are_stored_where_images_would_be_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_support, "LIMIT", 30_000)  # 40 images of 3 kB, or few features
    record = experiment.run(quick("protonet"), [0], out=tmp_path)
    stored = load_file(tmp_path / record.run_id / "trial-0" / stored_support.FILE)
    assert stored["features"].shape[0] == 40
    from fewshot.model import predictor  # above this room; only to see that it works

    pixels = datasets.load("digits").test.images[:50].numpy()
    import numpy as np

    saved = np.load(tmp_path / record.run_id / "trial-0" / "predictions.npz")
    expected = saved["test_logits"][:50] / saved["temperature"]
    logits = predictor.load(tmp_path / record.run_id).logits(pixels).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)
