"""The files of a run against its record, and what a second call leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from episodes import datasets
from fewshot.errors import UserError
from fewshot.runs import experiment, records
from fewshot.runs.trial_record import METRICS
from tests.fewshot.runs.quick_runs import quick


@pytest.mark.parametrize("method", ["finetune", "maml", "probe", "protonet", "scratch", "siamese"])
def test_a_run_leaves_the_promised_files(method: str, tmp_path: Path) -> None:
    record = experiment.run(quick(method), [0, 1], out=tmp_path)
    folder = tmp_path / record.run_id
    assert records.read(folder / "record.json") == record
    assert record.seeds == [0, 1]
    assert set(record.scores) == set(METRICS)
    assert record.cost.parameters > 1000
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert settings["method"] == method
    assert settings["compute"]["precision"] == "float32"
    for seed, accuracy in zip((0, 1), record.scores["accuracy"].values, strict=True):
        trial = folder / f"trial-{seed}"
        names = {path.name for path in trial.iterdir()}
        trained = {"model.safetensors"} if method != "probe" else set()
        promised = {"metrics.jsonl", "indices.json", "predictions.npz", "trial.json"}
        assert names == promised | {"support.safetensors"} | trained
        saved = np.load(trial / "predictions.npz")
        assert saved["test_logits"].dtype == np.float32
        assert (saved["test_logits"].argmax(1) == saved["test_labels"]).mean() == accuracy
        support = json.loads((trial / "indices.json").read_text())["support"]
        labels = datasets.load("digits").train.labels[torch.tensor(support)]
        assert labels.bincount().tolist() == [4] * 10


def test_more_seeds_run_only_the_missing_trials(tmp_path: Path) -> None:
    first = experiment.run(quick("scratch"), [0, 1], out=tmp_path)
    files = [tmp_path / first.run_id / f"trial-{seed}" / "trial.json" for seed in (0, 1)]
    before = [path.stat().st_mtime_ns for path in files]
    second = experiment.run(quick("scratch"), [0, 1, 2], out=tmp_path)
    assert second.run_id == first.run_id
    assert second.seeds == [0, 1, 2]
    assert second.scores["accuracy"].values[:2] == first.scores["accuracy"].values
    assert [path.stat().st_mtime_ns for path in files] == before
    experiment.run(quick("scratch"), [1], out=tmp_path, force=True)
    assert files[0].stat().st_mtime_ns == before[0]
    assert files[1].stat().st_mtime_ns > before[1]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"seeds": []}, "seeds: expected one or more whole numbers"),
        ({"seeds": [0, -1]}, "not \\[0, -1\\]"),
        ({"seeds": "3"}, "not \\['3'\\]"),
        ({"seeds": [0], "workers": 0}, "workers: expected a whole number of at least 1, not 0"),
    ],
)
def test_wrong_seeds_and_workers_are_named_and_nothing_is_written(
    asked: dict, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        experiment.run(quick("probe"), out=tmp_path, **asked)
    assert list(tmp_path.iterdir()) == []
