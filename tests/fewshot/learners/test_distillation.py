"""Distillation: the teachers' files read and applied by hand, part by part of a batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from episodes.errors import UserError
from episodes.rng import seeded
from episodes.types import Labelled
from fewshot import backbones, functional
from fewshot.config import BackboneSettings
from fewshot.learners import scratch
from fewshot.learners.base import Task
from tests.fewshot import easy
from tests.fewshot.learners.small import network
from tests.fewshot.learners.teachers import teachers


def test_teachers_share_a_batch_and_their_probabilities_are_targets(tmp_path: Path) -> None:
    files = teachers(tmp_path)
    student = BackboneSettings(name="conv4", options={"width": 8, "norm": "group", "pool": True})
    with seeded(5, "student"):
        backbone = backbones.build(student)
        plain = scratch.Scratch.from_config(backbone, Task(easy.N_WAY), scratch.Options())
    with seeded(5, "student"):
        backbone = backbones.build(student)
        options = scratch.Options(teachers=tuple(files), distillation_weight=0.25, temperature=3.0)
        learner = scratch.Scratch.from_config(backbone, Task(easy.N_WAY), options)
    assert list(learner.state_dict()) == list(
        plain.state_dict()
    )  # nobody trains or keeps the teachers
    batch = easy.labelled(5, 0)  # twenty images: ten for each teacher
    batch = Labelled(batch.images[torch.randperm(20)], batch.labels)
    taught = []
    for path, part in zip(files, batch.images.split(10), strict=True):
        body = backbones.from_file(Path(path)).eval().body
        state = load_file(path)
        prepared = (part - backbone.mean) / backbone.std
        logits = (
            body(prepared) @ state["backbone.finish.weight"].float().T
            + state["backbone.finish.bias"]
        )
        taught.append((logits.detach() / 3).softmax(1))
    assert torch.cat(taught).std(0).min() > 0.001  # the teachers do say something of the image
    logits = learner.head(learner.backbone(batch.images))
    expected = 0.75 * plain.loss(batch) + 0.25 * functional.distillation(
        logits, torch.cat(taught), 3.0
    )
    learner.backbone.train_side = 16  # the student's side, not the teachers'
    small = learner.loss(batch)
    learner.backbone.train_side = None
    loss = learner.loss(batch)
    torch.testing.assert_close(loss, expected)
    assert not torch.isclose(small, loss)
    loss.backward()
    assert all(parameter.grad is not None for parameter in learner.parameters())
    mixed = nn.functional.one_hot(batch.labels, easy.N_WAY).float()  # as cutmix gives them
    torch.testing.assert_close(learner.loss(Labelled(batch.images, mixed)), expected)


def test_teachers_of_other_classes_or_files_are_refused(tmp_path: Path) -> None:
    def learner(*files: str) -> scratch.Scratch:
        return scratch.Scratch.from_config(
            network(), Task(easy.N_WAY), scratch.Options(teachers=files)
        )

    with pytest.raises(
        UserError,
        match=r"learner\.teachers: .*0\.safetensors was trained on 7 classes, and the data has 4",
    ):
        learner(*teachers(tmp_path, n_way=7))
    with pytest.raises(UserError, match=r"gone\.safetensors does not exist"):
        learner(str(tmp_path / "gone.safetensors"))
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(
        UserError,
        match=r"other\.safetensors does not say which network it is for: .*fewshot pretrain",
    ):
        learner(str(tmp_path / "other.safetensors"))
    with pytest.raises(ValueError, match="exclude each other"):
        scratch.Options(rotation=0.5, teachers=("a",))
