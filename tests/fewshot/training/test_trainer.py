"""The trainer: a plain loop of torch, recursions written out, and trainings that were killed."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from episodes import augment, streams
from episodes.rng import seeded
from episodes.types import Labelled
from fewshot.config import EarlyStopping, Phase, Resolution, Train
from fewshot.errors import Diverged, Interrupted
from fewshot.training import trainer
from tests.fewshot import easy
from tests.fewshot.no_reads import NoReads
from tests.fewshot.training.tiny import Tiny, build, validate, weights

SGD = {"name": "sgd"}


def test_same_weights_as_a_plain_loop() -> None:
    settings = Train(
        steps=12, lr=0.05, weight_decay=0.01, optimizer=SGD, schedule={"name": "cosine"}
    )
    ours, plain, stream = build(), build(), easy.stream("batches")
    fitted = trainer.fit(ours, stream, settings, steps_per_epoch=1.5)

    matrices = [parameter for parameter in plain.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in plain.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": 0.01},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True)
    plain.train()
    losses = []
    for step in range(12):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 + math.cos(math.pi * step / 12)) / 2
        loss = plain.loss(stream(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    torch.testing.assert_close(weights(ours), weights(plain), rtol=1e-5, atol=1e-6)
    assert (fitted.steps, fitted.images) == (12, 12 * 16)
    assert [row["step"] for row in fitted.history] == [2, 4, 6, 8, 10, 12]  # 1.5 steps, rounded
    means = [(losses[i] + losses[i + 1]) / 2 for i in range(0, 12, 2)]
    assert [row["train_loss"] for row in fitted.history] == pytest.approx(means, rel=1e-4)
    assert ours.shares == [step / 12 for step in range(12)]


def test_rows_of_the_history() -> None:
    settings = Train(steps=2, lr=0.1, schedule={"name": "constant"}, log_every_epochs=0.5)
    rows: list[tuple[trainer.LogPoint, int]] = []
    fitted = trainer.fit(
        build(),
        easy.stream("batches"),
        settings,
        2.0,
        validate=validate,
        evaluate_start=validate,
        on_log=lambda row, total: rows.append((row, total)),
    )
    start, *points = fitted.history
    assert list(start) == ["step", "epoch", "validation_loss", "validation_accuracy"]
    assert (start["step"], start["epoch"]) == (0, 0.0)
    names = ["step", "epoch", "lr", "train_loss", "validation_loss", "validation_accuracy"]
    assert [list(row) for row in points] == [names, names]
    assert [(row["step"], row["epoch"], row["lr"]) for row in points] == [
        (1, 0.5, 0.1),
        (2, 1, 0.1),
    ]
    assert rows == [(row, 2) for row in points]
    assert json.loads(json.dumps(fitted.history)) == fitted.history


def test_a_training_may_end_early_on_the_schedule_of_the_whole() -> None:
    phases = (Phase(trainable="head", share=0.5), Phase(share=0.5))
    settings = Train(steps=10, lr=0.05, optimizer=SGD, log_every_epochs=1, phases=phases)
    whole = trainer.fit(build(), easy.stream("batches"), settings, 1.0).history
    for until, steps in ((0.3, 3), (0.7, 7)):
        fitted = trainer.fit(build(), easy.stream("batches"), settings, 1.0, until=until)
        assert fitted.history == whole[:steps]
    learner = build()
    before = weights(learner)
    assert trainer.fit(learner, easy.stream("batches"), settings, 1.0, until=0).steps == 0
    assert torch.equal(weights(learner), before)


def test_phases_train_the_head_first_and_then_the_last_stages() -> None:
    learner = build()
    start = {name: value.detach().clone() for name, value in learner.named_parameters()}
    changed: dict[int, set[str]] = {}

    def note(row: trainer.LogPoint, total: int) -> None:
        changed[row["step"]] = {
            name
            for name, value in learner.named_parameters()
            if not torch.equal(value, start[name])
        }

    phases = (Phase(trainable="head", share=0.5), Phase(trainable=1, share=0.5, lr=1e-4))
    settings = Train(steps=4, phases=phases, log_every_epochs=1, lr=0.01)
    trainer.fit(learner, easy.stream("batches"), settings, steps_per_epoch=2, on_log=note)
    head = {"head.1.weight", "head.1.bias"}
    assert changed[2] == head
    assert changed[4] == head | {name for name in start if ".stages.3." in name}
    assert all(parameter.requires_grad for parameter in learner.parameters())


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_every_optimiser_lowers_the_loss(name: str) -> None:
    settings = Train(steps=20, lr=0.01, optimizer={"name": name}, log_every_epochs=10)
    history = trainer.fit(build(), easy.stream("batches"), settings, steps_per_epoch=1).history
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]


class Kill(Exception):
    pass


def resumable(optimizer: str, early: bool) -> Train:
    """Return settings with average, phases, warm-up and clipping, or with early stopping."""
    phases = (Phase(trainable="head", share=0.4), Phase(share=0.6, lr=0.003))
    settings = Train(
        steps=12, lr=0.01, optimizer={"name": optimizer}, ema_decay=0.9, phases=phases,
        clip_norm=1.0, schedule={"name": "cosine", "warmup": 0.2}, log_every_epochs=0.5,
    )  # fmt: skip
    if not early:
        return settings
    stopping = EarlyStopping(patience=9, restore_best=True)
    return settings.model_copy(update={"phases": (Phase(),), "early_stopping": stopping})


def train_resumable(
    optimizer: str,
    early: bool,
    stream: Callable[[int], Labelled],
    checkpoint: Path | None,
    device: str = "cpu",
) -> tuple[torch.Tensor, list[trainer.LogPoint]]:
    learner = build(dropout=0.3).to(device)
    with seeded(7, "fit"):
        fitted = trainer.fit(
            learner,
            stream,
            resumable(optimizer, early),
            4,
            validate=validate if device == "cpu" else None,
            keep_best=not early and device == "cpu",
            checkpoint=checkpoint,
        )
    return weights(learner), fitted.history


@cache
def undisturbed(optimizer: str, early: bool) -> tuple[torch.Tensor, list[trainer.LogPoint]]:
    return train_resumable(optimizer, early, easy.stream("batches"), None)


def killed_at(step_to_kill: int, stream: Callable[[int], Labelled]) -> Callable[[int], Labelled]:
    def killed_stream(step: int) -> Labelled:
        if step == step_to_kill:
            raise Kill
        return stream(step)

    return killed_stream


@pytest.mark.parametrize(
    ("optimizer", "early", "step"),
    [
        ("sgd", False, 2),
        ("sgd", False, 9),
        ("adamw", True, 6),
        ("muon", False, 3),
        ("muon", False, 7),
    ],
)
def test_a_killed_training_ends_bit_for_bit_the_same(
    optimizer: str, early: bool, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    path, stream = tmp_path / "checkpoint.pt", easy.stream("batches")
    with pytest.raises(Kill):
        train_resumable(optimizer, early, killed_at(step, stream), path)
    torch.rand(3)  # another consumer of random numbers
    state, history = train_resumable(optimizer, early, stream, path)
    expected_state, expected_history = undisturbed(optimizer, early)
    assert torch.equal(state, expected_state)
    assert history == expected_history


def test_a_signal_leaves_a_complete_checkpoint(tmp_path: Path) -> None:
    stream, path = easy.stream("batches"), tmp_path / "checkpoint.pt"

    def interrupting(step: int) -> Labelled:
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return stream(step)

    with pytest.raises(Interrupted):
        trainer.fit(build(), interrupting, Train(steps=9), 3, checkpoint=path)
    steps: list[int] = []

    def recording(step: int) -> Labelled:
        steps.append(step)
        return stream(step)

    trainer.fit(build(), recording, Train(steps=9), 3, checkpoint=path)
    assert steps == [6, 7, 8]


def scripted(values: list[float], **stopping: object) -> trainer.Fitted:
    """Train with scripted validation accuracies, one for each step; losses are their negatives."""
    script = iter(values)

    def next_value(model: nn.Module) -> dict[str, float]:
        value = next(script)
        return {"loss": -value, "accuracy": value}

    stop = EarlyStopping(**stopping)  # type: ignore[arg-type]
    settings = Train(steps=len(values), early_stopping=stop, log_every_epochs=1)
    return trainer.fit(build(), easy.stream("batches"), settings, 1.0, validate=next_value)


@pytest.mark.parametrize("monitor", ["loss", "accuracy"])
def test_early_stopping(monitor: str) -> None:
    rising = [0.1, 0.2, 0.3, 0.3, 0.3, 0.3, 0.9]
    stopped = scripted(rising, monitor=monitor, patience=3)
    assert (stopped.steps, stopped.best_step) == (6, 3)
    assert scripted(rising, monitor=monitor, patience=4).steps == 7
    assert scripted(rising, monitor=monitor, patience=3, least_epochs=7).best_step == 7
    small_gains = [0.1, 0.104, 0.108, 0.109, 0.9]
    assert scripted(small_gains, monitor=monitor, patience=3, least_gain=0.05).steps == 4


@pytest.mark.parametrize("restore", [True, False])
def test_the_best_weights_are_restored_if_asked_for(restore: bool) -> None:
    states: list[torch.Tensor] = []
    accuracies = iter([0.1, 0.9, 0.2, 0.3])
    learner = build()

    def recorded(model: nn.Module) -> dict[str, float]:
        states.append(weights(model))
        value = next(accuracies)
        return {"loss": -value, "accuracy": value}

    stopping = EarlyStopping(monitor="accuracy", patience=9, restore_best=restore)
    settings = Train(steps=4, early_stopping=stopping, log_every_epochs=1)
    fitted = trainer.fit(learner, easy.stream("batches"), settings, 1.0, validate=recorded)
    assert fitted.best_step == 2
    assert torch.equal(weights(learner), states[1 if restore else 3])


def test_early_stopping_does_not_choose_the_weights_that_the_caller_chooses() -> None:
    """The accuracy is best at step 3; the loss falls until step 2 and stops the training at 4."""
    states: list[torch.Tensor] = []
    losses, accuracies = iter([0.5, 0.4, 0.6, 0.7, 0.1]), iter([0.1, 0.2, 0.9, 0.3, 0.4])
    learner = build()

    def recorded(model: nn.Module) -> dict[str, float]:
        states.append(weights(model))
        return {"loss": next(losses), "accuracy": next(accuracies)}

    settings = Train(steps=5, early_stopping=EarlyStopping(patience=2), log_every_epochs=1)
    fitted = trainer.fit(
        learner,
        easy.stream("batches"),
        settings,
        1.0,
        validate=recorded,
        monitor="accuracy",
        keep_best=True,
    )
    assert (fitted.steps, fitted.best_step) == (4, 3)
    assert torch.equal(weights(learner), states[2])


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_good_state(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    plain = {"name": "sgd", "momentum": 0, "nesterov": False}
    settings = Train(steps=200, lr=1e18, optimizer=plain)
    message = r"not finite.*step \d+ of 200.*checkpoint\.pt.*lower train\.lr"
    with pytest.raises(Diverged, match=message):
        trainer.fit(build(), easy.stream("batches"), settings, 1.0, checkpoint=path)
    state = torch.load(path, weights_only=True)["learner"]
    assert all(value.isfinite().all() for value in state.values())


def test_the_moving_average_is_what_remains() -> None:
    """timm's warm-up: decay = min(decay, 1 - t^(-2/3)), and none before t = 2."""
    learner, plain, stream = build(), build(), easy.stream("batches")
    states = [weights(learner)]
    settings = Train(steps=6, lr=0.01, ema_decay=0.6, log_every_epochs=1)
    trainer.fit(learner, stream, settings, 1.0)
    trainer.fit(
        plain,
        stream,
        settings.model_copy(update={"ema_decay": None}),
        1.0,
        on_log=lambda row, total: states.append(weights(plain)),
    )
    mean = states[0]
    for t, state in enumerate(states[1:]):
        decay = min(0.6, 1 - t ** (-2 / 3)) if t > 1 else 0.0
        mean = decay * mean + (1 - decay) * state
    is_float = [
        torch.full((value.numel(),), value.is_floating_point())
        for value in learner.state_dict().values()
    ]
    averaged = torch.cat(is_float)  # the counters of batch norm are copied
    actual = weights(learner)[averaged]
    torch.testing.assert_close(actual, mean[averaged], rtol=1e-4, atol=1e-5)


def test_the_items_of_a_step_are_averaged() -> None:
    stream = easy.stream("batches")
    indices: list[int] = []

    def recording(index: int) -> Labelled:
        indices.append(index)
        return stream(index)

    settings = Train(steps=3, tasks_per_step=2, lr=0.1, optimizer=SGD)
    learner, plain = build(), build()
    fitted = trainer.fit(learner, recording, settings, 1.0)
    assert indices == [0, 1, 2, 3, 4, 5]
    assert fitted.images == 6 * 16
    plain.train()
    with torch.no_grad():
        losses = [plain.loss(stream(index)).item() for index in (0, 1)]
    assert fitted.history[0]["train_loss"] == pytest.approx(sum(losses) / 2, rel=1e-4)


@pytest.mark.parametrize("feed", ["batches", "episodes", "pairs"])
def test_images_are_counted_in_items_of_every_kind(feed: str) -> None:
    class AnyItem(Tiny):
        def loss(self, item: object) -> torch.Tensor:
            return self.logits(torch.zeros(2, 3, 32, 32)).square().mean()

    images = {"batches": 16, "episodes": 24, "pairs": 32}[feed]
    fitted = trainer.fit(AnyItem(), easy.stream(feed), Train(steps=3), 1.0)
    assert fitted.images == 3 * images


def test_smaller_images_first_and_the_full_side_for_evaluation() -> None:
    resolutions = (Resolution(side=16, until=0.25), Resolution(side=24, until=0.75))
    settings = Train(steps=8, log_every_epochs=1, resolutions=resolutions)
    learner, sides = build(), []

    def to_32_pixels(body: nn.Module, inputs: tuple[torch.Tensor]) -> torch.Tensor:
        sides.append(inputs[0].shape[-1])
        return nn.functional.interpolate(inputs[0], (32, 32))  # what the flattening body takes

    learner.backbone.body.register_forward_pre_hook(to_32_pixels)
    trainer.fit(learner, easy.stream("batches"), settings, 1.0, validate=validate)
    assert sides[0::2] == [16, 16, 24, 24, 24, 24, 32, 32]
    assert sides[1::2] == [32] * 8


def prepared(settings: Train, device: str = "cpu") -> tuple[trainer._Training, list[nn.Parameter]]:
    """Return a training after its first step, and what it trains."""
    learner = build(dropout=0.3).to(device).train()
    images = easy.images(6, 0)
    pool = streams.pool(images, torch.arange(len(images)), device)
    stream = streams.batches(pool, 8, augment.build(["flip"], easy.N_WAY), seed=0)
    training = trainer._Training(learner, stream, settings, 1.0)
    training._begin_phase(Phase(), 100)
    trained = list(learner.parameters())
    training._step(trained)
    return training, trained


def test_a_step_reads_no_values() -> None:
    training, trained = prepared(Train(steps=100, optimizer=SGD, clip_norm=1.0, ema_decay=0.9))
    with NoReads():
        training._step(trained)
    with pytest.raises(AssertionError, match="reads values"), NoReads():
        training._log()


@pytest.mark.slow  # the compiler takes most of a minute
def test_a_compiled_loss_trains_to_the_same_weights() -> None:
    plain, compiled, stream = build(), build(), easy.stream("batches")
    for learner, compile_loss in ((plain, False), (compiled, True)):
        settings = Train(steps=6, lr=0.05, optimizer=SGD, compile=compile_loss)
        trainer.fit(learner, stream, settings, steps_per_epoch=2)
    torch.testing.assert_close(weights(compiled), weights(plain), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("device", "tasks", "mode"),
    [("cpu", 1, "default"), ("cuda", 1, "reduce-overhead"), ("cuda", 4, "default")],
)
def test_cuda_graphs_are_for_one_backward_pass_a_step(device: str, tasks: int, mode: str) -> None:
    settings = Train(steps=1, tasks_per_step=tasks)
    training = trainer._Training(build(), easy.stream("batches"), settings, 1.0)
    training.device = torch.device(device)
    assert training._compile_mode() == mode


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_no_hidden_synchronisation_in_a_gpu_step(optimizer: str, precision: str) -> None:
    settings = Train(steps=100, optimizer={"name": optimizer}, clip_norm=1.0, ema_decay=0.9)
    training, trained = prepared(settings, "cuda")
    training.learner.backbone.set_compute(precision, True)  # type: ignore[attr-defined]
    training._step(trained)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        training._step(trained)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_a_gpu_trains_as_the_cpu_does() -> None:
    settings = Train(steps=5, lr=0.01, optimizer=SGD)
    cpu, gpu, stream = build(), build().cuda(), easy.stream("batches")
    trainer.fit(cpu, stream, settings, 1.0)
    fitted = trainer.fit(gpu, lambda step: stream(step).to("cuda"), settings, 1.0)
    assert fitted.images == 5 * 16
    torch.testing.assert_close(weights(gpu), weights(cpu), rtol=0.02, atol=0.02)  # TF32


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_a_killed_gpu_training_resumes(
    optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout follows the restored random state; sums on a GPU may differ in their last digits."""
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    batches = easy.stream("batches")

    def stream(step: int) -> Labelled:
        return batches(step).to("cuda")

    path = tmp_path / "checkpoint.pt"
    expected, history = train_resumable(optimizer, False, stream, None, "cuda")
    with pytest.raises(Kill):
        train_resumable(optimizer, False, killed_at(7, stream), path, "cuda")
    torch.rand(3, device="cuda")
    state, resumed_history = train_resumable(optimizer, False, stream, path, "cuda")
    torch.testing.assert_close(state, expected, rtol=1e-3, atol=1e-4)
    assert [row["step"] for row in resumed_history] == [row["step"] for row in history]


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("tasks", [1, 2])
def test_a_compiled_loss_on_a_gpu(tasks: int) -> None:
    plain, compiled, batches = build().cuda(), build().cuda(), easy.stream("batches")
    for learner, compile_loss in ((plain, False), (compiled, True)):
        settings = Train(
            steps=6, lr=0.05, optimizer=SGD, compile=compile_loss, tasks_per_step=tasks
        )
        trainer.fit(learner, lambda step: batches(step).to("cuda"), settings, steps_per_epoch=2)
    torch.testing.assert_close(weights(compiled), weights(plain), rtol=1e-2, atol=1e-2)
