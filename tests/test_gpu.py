"""What only a CUDA device can show: steps that do not wait, resuming, determinism, precision.

Oracles: torch's own detector of synchronising calls, a second training with the same seed, and the
same computation on the CPU. `FEWSHOT_TEST_DEVICE=cpu python -m pytest -m gpu tests/test_gpu.py`
runs the same code without a GPU, except for the detector.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from episodes import augment, streams
from episodes.rng import seeded
from episodes.tasks import sampling
from fewshot import backbones
from fewshot.backbones import embed
from fewshot.config import BackboneSettings, Train
from fewshot.errors import Interrupted
from fewshot.evaluation import episodic
from fewshot.heads import HEADS, calibration
from fewshot.learners import LEARNERS
from fewshot.learners.base import Learner
from fewshot.training import devices, trainer
from fewshot.training import precision as precisions
from tests.fewshot import easy

# Deterministic matrix products on CUDA need this before the first of them.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
DEVICE = os.environ.get("FEWSHOT_TEST_DEVICE", "cuda")
SMALL = BackboneSettings(name="conv4", options={"width": 16})
METHODS = ("scratch", "finetune", "experts", "baseline", "protonet", "matching", "relation")
METHODS += ("siamese",)
STEPS = 12

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        DEVICE.startswith("cuda") and not torch.cuda.is_available(),
        reason="there is no CUDA device",
    ),
]


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Let torch choose deterministic kernels, or fail where it has none."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def build(method: str, precision: str = "float32") -> Learner:
    learner_type = LEARNERS[method]
    with seeded(0, "test"):
        backbone = backbones.build(SMALL)
        learner = learner_type.from_config(backbone, easy.TASK, learner_type.options_type())
    learner.backbone.set_compute(precision, channels_last=precision == "bfloat16")
    return learner.to(DEVICE)


def stream(feed: str | None) -> Callable[[int], Any]:
    """Return a stream on the device: step -> item, with augmentation."""
    image_set = easy.images(12, seed=0)
    pool = streams.pool(image_set, torch.arange(len(image_set)), DEVICE)
    change = augment.build(["flip", {"name": "translate", "pixels": 2}, "jitter"], easy.N_WAY)
    if feed == "episodes":
        return streams.episodes(pool, easy.N_WAY, 3, 3, change, 0)
    if feed == "pairs":
        return streams.pairs(pool, 16, change, 0)
    return streams.batches(pool, 16, change, 0)


def fit(
    learner: Learner, items: Callable[[int], Any], checkpoint: Path | None = None
) -> trainer.Fitted:
    """Train for a few steps with one log point, at the end."""
    settings = Train(steps=STEPS, lr=0.05, optimizer={"name": "sgd"})
    with seeded(0, "fit"):
        return trainer.fit(learner, items, settings, float(STEPS), checkpoint=checkpoint)


def weights(learner: Learner) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in learner.state_dict().values()]).cpu()


@pytest.mark.skipif(not DEVICE.startswith("cuda"), reason="the detector is CUDA's")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_step_does_not_wait_for_the_device(method: str, precision: str) -> None:
    learner = build(method, precision)
    items = stream(learner.feed)

    def watched(step: int) -> Any:
        """Watch the steps from the third to the last but one, in which nothing is logged."""
        torch.cuda.set_sync_debug_mode("error" if 2 <= step < STEPS - 1 else "default")
        return items(step)

    try:
        fit(learner, watched)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(not DEVICE.startswith("cuda"), reason="the detector is CUDA's")
@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_an_augmentation_does_not_wait_for_the_device(name: str) -> None:
    image_set = easy.images(12, seed=0)
    pool = streams.pool(image_set, torch.arange(len(image_set)), DEVICE)
    batches = streams.batches(pool, 16, augment.build([name], easy.N_WAY), 0)
    batches(0)  # tables that are made once
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        batches(1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_weights(method: str) -> None:
    first, second = build(method), build(method)
    initial = weights(first)
    fit(first, stream(first.feed))
    fit(second, stream(second.feed))
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), initial)


@pytest.mark.usefixtures("deterministic")
def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    undisturbed, resumed = build("scratch"), build("scratch")
    fit(undisturbed, stream("batches"))
    items = stream("batches")

    def stopped(step: int) -> Any:
        if step == STEPS // 2:
            raise Interrupted
        return items(step)

    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted):
        fit(resumed, stopped, checkpoint)
    assert checkpoint.exists()
    fit(resumed, items, checkpoint)
    torch.testing.assert_close(weights(resumed), weights(undisturbed), rtol=0, atol=0)


def seconds_of_a_step(choice: precisions.Choice) -> float:
    """Return the least seconds of a training step of a small network, of 1,024 images."""
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 64, 3, padding=1), torch.nn.Conv2d(64, 64, 3, padding=1)
    ).to(DEVICE)
    images = torch.zeros(1024, 3, 32, 32, device=DEVICE)
    if choice.channels_last:
        network = network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        with torch.autocast("cuda", torch.bfloat16, enabled=choice.precision == "bfloat16"):
            out = network(images)
        out.float().square().mean().backward()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def test_the_precision_and_layout_of_the_hardware_are_not_clearly_slower_than_any() -> None:
    if DEVICE == "cpu":
        pytest.skip("the hardware of a GPU decides; processors are in test_precision.py")
    compute = devices.resolve(DEVICE, "auto")
    choices = (precisions.PLAIN, precisions.PLAIN_LAST, precisions.HALF, precisions.HALF_LAST)
    seconds = {choice: seconds_of_a_step(choice) for choice in choices}
    chosen = precisions.Choice(compute.precision, compute.channels_last)
    assert seconds[chosen] <= 1.25 * min(seconds.values()), seconds
    print(f"milliseconds a step: { {one.name: 1e3 * value for one, value in seconds.items()} }")


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 5e-2)])
def test_features_are_those_of_the_cpu(precision: str, tolerance: float) -> None:
    learner = build("probe", precision).eval()
    images = easy.labelled(8, seed=1).images
    with torch.no_grad():
        on_device = embed(learner.backbone, images.to(DEVICE)).float().cpu()
        on_cpu = embed(build("probe").to("cpu").eval().backbone, images).float()
    error = (on_device - on_cpu).norm() / on_cpu.norm()
    assert error < tolerance


@pytest.mark.parametrize("method", METHODS)
def test_it_learns_an_easy_task_in_bfloat16(method: str) -> None:
    learner = build(method, "bfloat16")
    fitted = fit(learner, stream(learner.feed))
    assert torch.isfinite(weights(learner)).all()
    assert math.isfinite(fitted.history[-1]["train_loss"])
    support, queries = easy.labelled(3, seed=2), easy.labelled(20, seed=3)
    on_device = type(support)(support.images.to(DEVICE), support.labels.to(DEVICE))
    with torch.no_grad():
        logits = learner.eval().adapt(on_device)(queries.images.to(DEVICE))
    assert logits.shape == (len(queries.labels), easy.N_WAY)
    assert logits.isfinite().all()
    accuracy = (logits.argmax(1).cpu() == queries.labels).float().mean()
    assert accuracy > 1 / easy.N_WAY


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_right_on_the_queries_that_they_are_right_on_on_the_cpu(name: str) -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(10).repeat(60)
    centres = torch.randn(10, 32, generator=random)
    features = centres[labels] + 1.5 * torch.randn(600, 32, generator=random)
    tasks = (sampling.fixed(labels, ways=5, shots=2, queries=15, count=8, seed=0),)
    there = episodic.of_head(HEADS[name](), features.to(DEVICE), tasks)
    here = episodic.of_head(HEADS[name](), features, tasks)
    # A query between two classes may fall on either side where sums have another order.
    assert (there.correct - here.correct).abs().sum() <= 3
    assert 0.4 < here.correct.float().mean().item() / 75 < 1


@pytest.mark.parametrize("method", ["protonet", "matching", "relation"])
def test_learners_solve_tasks_on_the_device(method: str) -> None:
    learner = build(method).eval()
    items = stream("episodes")(0)
    with torch.no_grad():
        support, query = (embed(learner.backbone, part.images) for part in items[:2])
        labels = items.support.labels[None]
        together = learner.task_logits(support[None], labels, query[None], easy.N_WAY)[0]
        alone = learner.adapt(items.support)(items.query.images)
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)


def test_the_prior_and_the_temperature_are_those_of_the_cpu() -> None:
    random = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(40, 3, generator=random), torch.arange(40) % 3
    counts = torch.tensor([1, 2, 5])
    on_device = [part.to(DEVICE) for part in (logits, labels, counts)]
    for prior in ("balanced", "training", {"a": 2.0}):
        classes = ("a", "b", "c")
        shift = calibration.frequencies(prior, classes, counts)
        there = calibration.frequencies(prior, classes, on_device[2])
        torch.testing.assert_close(there.cpu(), shift)
    temperature = calibration.choose_temperature(logits, labels)
    assert calibration.choose_temperature(*on_device[:2]) == pytest.approx(temperature)


def test_a_process_may_begin_with_a_numbered_device() -> None:
    name = "cuda:0" if DEVICE == "cuda" else DEVICE
    code = (
        "from fewshot.training import devices\n"
        f"devices.set_up_process(devices.Compute({name!r}, 'float32', False, 1))\n"
        f"assert devices.now({name!r}) > 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
