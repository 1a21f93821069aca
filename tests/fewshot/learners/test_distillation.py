"""Oracle: the networks of the weight files, called one by one on their part of the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from episodes.errors import UserError
from episodes.rng import seeded
from episodes.types import Labelled
from fewshot import backbones, functional
from fewshot.config import BackboneSettings
from fewshot.learners.base import Learner, Task
from fewshot.learners.distillation import Distillation, load_teacher
from fewshot.learners.scratch import Options, Scratch
from tests.fewshot import easy
from tests.fewshot.learners.teachers import write_teachers


def student(**options: object) -> Learner:
    settings = BackboneSettings(name="conv4", options={"width": 8, "norm": "group", "pool": True})
    with seeded(5, "student"):
        backbone = backbones.build(settings)
        return Scratch.from_config(backbone, Task(easy.N_WAY), Options(**options))


@pytest.fixture
def teachers(tmp_path: Path) -> list[str]:
    return write_teachers(tmp_path)


@pytest.fixture
def learner(teachers: list[str]) -> Learner:
    return student(teachers=tuple(teachers), distillation_weight=0.25, temperature=3.0)


def shuffled_batch() -> Labelled:
    """Return twenty images: ten for each of two teachers."""
    batch = easy.labelled(5, 0)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    return Labelled(batch.images[order], batch.labels)


def teacher_probabilities(paths: list[str], images: Tensor, learner: Learner) -> Tensor:
    """Return the class probabilities at temperature 3 of each teacher for its ten images."""
    probabilities = []
    for path, part in zip(paths, images.split(10), strict=True):
        body, state = backbones.from_file(Path(path)).eval().body, load_file(path)
        normalised = (part - learner.backbone.mean) / learner.backbone.std
        weight, bias = state["backbone.finish.weight"].float(), state["backbone.finish.bias"]
        logits = body(normalised) @ weight.T + bias
        probabilities.append((logits.detach() / 3).softmax(1))
    return torch.cat(probabilities)


def test_the_probabilities_of_the_teachers_are_targets_beside_the_labels(
    learner: Learner, teachers: list[str]
) -> None:
    assert isinstance(learner, Distillation)
    batch = shuffled_batch()
    targets = teacher_probabilities(teachers, batch.images, learner)
    assert targets.std(0).min() > 0.001  # otherwise the targets would not depend on the image
    logits = learner.learner.logits(batch.images)
    distilled = functional.distillation(logits, targets, 3.0)
    expected = 0.75 * student().loss(batch) + 0.25 * distilled
    loss = learner.loss(batch)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(parameter.grad is not None for parameter in learner.parameters())


def test_labels_of_cutmix_are_accepted(learner: Learner) -> None:
    batch = shuffled_batch()
    soft = nn.functional.one_hot(batch.labels, easy.N_WAY).float()
    mixed = Labelled(batch.images, soft)
    torch.testing.assert_close(learner.loss(mixed), learner.loss(batch))


def test_only_the_student_sees_smaller_images(learner: Learner, teachers: list[str]) -> None:
    batch = shuffled_batch()
    learner.backbone.train_side = 16
    targets = teacher_probabilities(teachers, batch.images, learner)
    logits = learner.learner.logits(batch.images)
    distilled = functional.distillation(logits, targets, 3.0)
    supervised = learner.learner.logits_loss(logits, batch.labels)
    loss = learner.loss(batch)
    torch.testing.assert_close(loss, 0.75 * supervised + 0.25 * distilled)
    learner.backbone.train_side = None
    assert not torch.isclose(learner.loss(batch), loss)


def test_teachers_are_neither_trained_nor_saved(learner: Learner) -> None:
    assert list(learner.state_dict()) == list(student().state_dict())


def test_teachers_of_other_classes_and_foreign_files_are_errors(tmp_path: Path) -> None:
    path = write_teachers(tmp_path, n_way=7)[0]
    with pytest.raises(UserError, match=r"0\.safetensors was trained on 7 classes, .* data has 4"):
        load_teacher(Path(path), easy.N_WAY)
    with pytest.raises(UserError, match=r"gone\.safetensors does not exist"):
        load_teacher(tmp_path / "gone.safetensors", easy.N_WAY)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"other\.safetensors does not say which network"):
        load_teacher(tmp_path / "other.safetensors", easy.N_WAY)


def test_teachers_of_classes_of_other_names_or_in_another_order_are_errors(tmp_path: Path) -> None:
    path = Path(write_teachers(tmp_path)[0])
    names = ["aardvark", "Sea_lion", "3", "zebra"]
    (tmp_path / "0.classes.yaml").write_text(f"classes: {names}")
    assert load_teacher(path, 4, ["aardvark", "sea lion", "owl", "zebra"]).n_classes == 4
    assert load_teacher(path, 4).n_classes == 4
    with pytest.raises(
        UserError, match=r"class 4 of .*0\.safetensors is 'zebra', and that of the data is 'emu':"
    ):
        load_teacher(path, 4, ["aardvark", "sea lion", "owl", "emu"])
    with pytest.raises(UserError, match=r"class 1 .* is 'aardvark', .* of the data is 'zebra'"):
        Scratch.from_config(
            backbones.build("conv4"),
            Task(4, classes=("zebra", "sea lion", "owl", "aardvark")),
            Options(teachers=(str(path),)),
        )
