"""A learner that a user defines, against the nearest class mean of the same features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import embed
from fewshot.config import Positive
from fewshot.learners import LEARNERS
from fewshot.learners.base import Classifier, Learner, LearnerOptions
from fewshot.runs import experiment


class Options(LearnerOptions):
    power: Positive = 2.0


class Mine(Learner):
    """The nearest class mean by another norm; with a power of 2 it is the known one."""

    feed = None
    options_type = Options
    options: Options

    def loss(self, item: Labelled) -> Tensor:
        raise NotImplementedError

    def adapt(self, support: Labelled) -> Classifier:
        n_way = int(support.labels.max()) + 1
        features = embed(self.backbone, support.images)
        means = functional.prototypes(features, support.labels, n_way)
        return lambda images: (
            -torch.cdist(embed(self.backbone, images), means, p=self.options.power)
        )


def test_it_runs_without_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(LEARNERS, "mine", Mine)
    values = {"data": "digits", "shots": 4, "backbone": {"name": "conv4"}}
    mine = experiment.run({**values, "method": "mine"}, [0, 1], out=tmp_path)
    known = {"classifier": "nearest-mean", "centre": False, "normalise": False}
    probe = experiment.run({**values, "method": "probe", "learner": known}, [0, 1], out=tmp_path)
    assert mine.scores["accuracy"].values == probe.scores["accuracy"].values


def test_its_settings_and_a_preset_file_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(LEARNERS, "mine", Mine)
    (tmp_path / "mine.yaml").write_text("backbone: {name: conv4}\nlearner: {power: 1.0}\n")
    values = {"method": "mine", "data": "digits", "shots": 4, "preset": str(tmp_path / "mine.yaml")}
    record = experiment.run(values, [0], out=tmp_path)
    assert record.config["learner"] == {"power": 1.0}
