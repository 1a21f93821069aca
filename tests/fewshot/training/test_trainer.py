from __future__ import annotations

import math
import os
import signal

import pytest
import torch
from torch import nn

from episodes import streams
from episodes.errors import UserError
from episodes.rng import seeded
from fewshot import backbones
from fewshot.config import BackboneSettings, EarlyStopping, Phase, Schedule, Train
from fewshot.errors import Diverged, Interrupted
from fewshot.learners import finetune, scratch
from fewshot.learners.base import Task
from fewshot.training import optim, trainer
from tests.fewshot import easy

SMALL = BackboneSettings(name="conv4", options={"width": 8})


def build(dropout: float = 0.0, method=scratch.Scratch, options=None) -> nn.Module:
    with seeded(0, "test"):
        return method(
            backbones.build(SMALL), Task(easy.N_WAY), options or scratch.Options(dropout=dropout)
        )


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([each.detach().flatten().double() for each in model.state_dict().values()])


def test_same_weights_as_a_plain_loop() -> None:
    settings = Train(
        steps=12, lr=0.05, weight_decay=0.01, optimizer={"name": "sgd"}, schedule={"name": "cosine"}
    )
    ours, plain, stream = build(), build(), easy.stream("batches")
    fitted = trainer.fit(ours, stream, settings, steps_per_epoch=1.5)

    matrices = [each for each in plain.parameters() if each.ndim > 1]
    vectors = [each for each in plain.parameters() if each.ndim <= 1]
    parameters = [
        {"params": matrices, "weight_decay": 0.01},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True)
    plain.train()
    losses = []
    for step in range(12):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 + math.cos(math.pi * step / 12)) / 2
        images, labels, _ = stream(step)
        loss = nn.functional.cross_entropy(plain.head(plain.backbone(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    torch.testing.assert_close(weights(ours), weights(plain), rtol=1e-5, atol=1e-6)
    assert fitted.steps == 12
    assert fitted.images == 12 * 16
    every = 2  # one epoch of 1.5 steps, rounded
    assert [row["step"] for row in fitted.history] == [2, 4, 6, 8, 10, 12]
    means = [sum(losses[i : i + every]) / every for i in range(0, 12, every)]
    assert [row["train_loss"] for row in fitted.history] == pytest.approx(means, rel=1e-4)


def test_a_training_may_end_early_on_the_schedule_of_the_whole() -> None:
    settings = Train(steps=10, lr=0.05, optimizer={"name": "sgd"}, log_every_epochs=1, phases=(
        Phase(trainable="head", share=0.5), Phase(share=0.5),
    ))  # fmt: skip
    whole = trainer.fit(build(), easy.stream("batches"), settings, 1.0).history
    for until, steps in ((0.3, 3), (0.7, 7), (1.0, 10)):
        fitted = trainer.fit(build(), easy.stream("batches"), settings, 1.0, until=until)
        assert fitted.history == whole[:steps]


def test_epochs_become_steps() -> None:
    assert Train(steps=7).total_steps(100.0) == 7
    assert Train(epochs=2).total_steps(1.5) == 3
    assert Train(epochs=0.1).total_steps(1.0) == 1
    assert Train(epochs=2, least_steps=50).total_steps(10.0) == 50
    assert Train(epochs=8, least_steps=50).total_steps(10.0) == 80


def rates(schedule: Schedule, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    follower = optim.schedule(optimizer, schedule, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        follower.step()
    return found


def test_schedules_follow_their_formulas() -> None:
    assert rates(Schedule(name="constant"), 5) == [2.0] * 5
    cosine = rates(Schedule(name="cosine", warmup=0.2), 10)
    assert cosine[:2] == pytest.approx([1.0, 1.5])
    assert cosine[2:] == pytest.approx([1 + math.cos(math.pi * i / 8) for i in range(8)])
    triangle = rates(Schedule(name="linear", warmup=0.2), 10)
    assert triangle == pytest.approx([1.0, 1.5, *(2 * (8 - i) / 8 for i in range(8))])
    step = rates(Schedule(name="step", milestones=(0.5, 0.8), gamma=0.1), 10)
    assert step == pytest.approx([2.0] * 5 + [0.2] * 3 + [0.02] * 2)
    cycle = rates(Schedule(name="one-cycle", warmup=0.25), 100)
    assert max(cycle) == pytest.approx(2.0, rel=1e-3)
    assert cycle.index(max(cycle)) in range(22, 27)
    assert cycle[0] == pytest.approx(2.0 / 25)
    assert cycle[-1] < 0.01


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.3])
@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "one-cycle", "step"])
def test_every_schedule_lasts_for_any_number_of_steps(name: str, warmup: float) -> None:
    for steps in (1, 2, 3, 7):
        found = rates(Schedule(name=name, warmup=warmup), steps)
        assert all(0 <= rate <= 2.0 + 1e-9 for rate in found)
        assert found[0] > 0


def test_phases_train_the_head_first_and_then_the_last_stages() -> None:
    learner = build(method=finetune.Finetune, options=finetune.Options())
    start = {name: each.detach().clone() for name, each in learner.named_parameters()}
    seen: dict[int, set[str]] = {}

    def note(row: dict[str, float], total: int) -> None:
        seen[int(row["step"])] = {
            name for name, each in learner.named_parameters() if not torch.equal(each, start[name])
        }

    phases = (Phase(trainable="head", share=0.5), Phase(trainable=1, share=0.5, lr=1e-4))
    settings = Train(steps=8, phases=phases, log_every_epochs=1, lr=0.01)
    trainer.fit(learner, easy.stream("batches"), settings, steps_per_epoch=4, on_log=note)
    head = {"head.weight", "head.log_scale"}
    assert seen[4] == head
    assert seen[8] == head | {name for name in start if name.startswith("backbone.body.stages.3")}
    assert all(each.requires_grad for each in learner.parameters())


def test_rates_by_depth_and_prefix() -> None:
    learner = build()
    settings = Train(
        steps=1, lr=1.0, layer_decay=0.5, weight_decay=0.1, lr_multipliers={"head.1.bias": 3.0}
    )
    names = {each: name for name, each in learner.named_parameters()}
    rate, decay = {}, {}
    for group in optim.groups(learner, settings, settings.lr):
        for each in group["params"]:
            rate[names[each]], decay[names[each]] = group["lr"], group["weight_decay"]
    assert set(rate) == set(names.values())
    assert rate["head.1.weight"] == 1.0
    assert rate["head.1.bias"] == 3.0
    assert [rate[f"backbone.body.stages.{stage}.0.weight"] for stage in range(4)] == [
        0.0625,
        0.125,
        0.25,
        0.5,
    ]
    assert decay["head.1.weight"] == 0.1
    assert decay["backbone.body.stages.0.1.weight"] == 0.0  # batch norm
    many = Train(
        steps=1, lr_multipliers={"*.bias": 7.0, "head.1.bias": 3.0, "backbone.body.stages.0": 0.5}
    )
    rates = {
        names[each]: group["lr"]
        for group in optim.groups(learner, many, 1.0)
        for each in group["params"]
    }
    assert rates["head.1.bias"] == 3.0  # the longest key
    assert rates["backbone.body.stages.3.1.bias"] == 7.0
    assert rates["backbone.body.stages.0.0.weight"] == 0.5
    assert rates["backbone.body.stages.1.0.weight"] == 1.0
    with pytest.raises(UserError, match=r"lr_multipliers.*matches '\*.bais'"):
        optim.groups(learner, Train(steps=1, lr_multipliers={"*.bais": 2.0}), 1.0)
    with pytest.raises(UserError, match=r"lr_multipliers.*'haed'"):
        optim.groups(learner, Train(steps=1, lr_multipliers={"haed": 2.0}), 1.0)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_every_optimiser_lowers_the_loss(name: str) -> None:
    settings = Train(steps=30, lr=0.01, optimizer={"name": name}, log_every_epochs=10)
    history = trainer.fit(build(), easy.stream("batches"), settings, steps_per_epoch=1).history
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]


class Kill(Exception):
    pass


@pytest.mark.parametrize(("optimizer", "early"), [("sgd", False), ("adamw", True), ("muon", False)])
@pytest.mark.parametrize("killed_at", [3, 8, 14])
def test_a_killed_training_ends_bit_for_bit_the_same(
    optimizer, early, killed_at, tmp_path, monkeypatch
) -> None:
    """Dropout, moving average, two phases, warm-up, validation and the best weights: all of it is resumed."""
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    phases = (Phase(trainable="head", share=0.4), Phase(share=0.6, lr=0.003))
    settings = Train(
        steps=16, lr=0.01, optimizer={"name": optimizer}, ema_decay=0.9, phases=phases, clip_norm=1.0,
        schedule={"name": "cosine", "warmup": 0.2}, log_every_epochs=0.5,
    )  # fmt: skip
    if early:  # the best weights come back by early stopping alone
        stopping = EarlyStopping(patience=9, restore_best=True)
        settings = settings.model_copy(update={"phases": (Phase(),), "early_stopping": stopping})
    held = easy.labelled(4, seed=5)

    def validate(model: nn.Module) -> dict[str, float]:
        with torch.no_grad():
            logits = model.adapt(held)(held.images)
        return {"loss": nn.functional.cross_entropy(logits, held.labels).item(), "accuracy": 0.0}

    def run(path, kill: bool = False) -> tuple[torch.Tensor, list[dict[str, float]]]:
        learner, stream = build(dropout=0.3), easy.stream("batches")

        def interrupted(step: int):
            if kill and step == killed_at:
                raise Kill
            return stream(step)

        with seeded(7, "fit"):
            fitted = trainer.fit(
                learner,
                interrupted,
                settings,
                6,
                validate=validate,
                keep_best=not early,
                checkpoint=path,
            )
        return weights(learner), fitted.history

    undisturbed, history = run(tmp_path / "a.pt")
    with pytest.raises(Kill):
        run(tmp_path / "b.pt", kill=True)
    torch.rand(3)  # whatever else draws numbers meanwhile
    resumed, resumed_history = run(tmp_path / "b.pt")
    assert torch.equal(undisturbed, resumed)
    assert history == resumed_history


def test_a_signal_leaves_a_whole_checkpoint(tmp_path) -> None:
    stream, path = easy.stream("batches"), tmp_path / "checkpoint.pt"

    def interrupting(step: int):
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return stream(step)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        trainer.fit(build(), interrupting, Train(steps=9), 3, checkpoint=path)
    assert signal.getsignal(signal.SIGINT) is before
    seen = []
    trainer.fit(
        build(), lambda step: seen.append(step) or stream(step), Train(steps=9), 3, checkpoint=path
    )
    assert seen == [6, 7, 8]


def scripted(values: list[float], **stopping) -> trainer.Fitted:
    """A training whose validation accuracy is scripted, one value a step; losses are its negatives."""
    script = iter(values)

    def validate(model: nn.Module) -> dict[str, float]:
        value = next(script)
        return {"loss": -value, "accuracy": value}

    settings = Train(
        steps=len(values), early_stopping=EarlyStopping(**stopping), log_every_epochs=1
    )
    return trainer.fit(build(), easy.stream("batches"), settings, 1.0, validate=validate)


@pytest.mark.parametrize("monitor", ["loss", "accuracy"])
def test_early_stopping(monitor: str) -> None:
    rising = [0.1, 0.2, 0.3, 0.3, 0.3, 0.3, 0.9]
    assert scripted(rising, monitor=monitor, patience=3)[1:5:3] == (6, 3)
    assert scripted(rising, monitor=monitor, patience=4).steps == 7
    assert scripted(rising, monitor=monitor, patience=3, least_epochs=7).best_step == 7
    # gains below the least gain do not count
    assert (
        scripted(
            [0.1, 0.104, 0.108, 0.109, 0.9], monitor=monitor, patience=3, least_gain=0.05
        ).steps
        == 4
    )


@pytest.mark.parametrize("restore", [True, False])
def test_the_best_weights_come_back_where_asked(restore: bool) -> None:
    kept: list[torch.Tensor] = []
    accuracies = iter([0.1, 0.9, 0.2, 0.3])
    learner = build()

    def validate(model: nn.Module) -> dict[str, float]:
        kept.append(weights(model))
        value = next(accuracies)
        return {"loss": -value, "accuracy": value}

    stopping = EarlyStopping(monitor="accuracy", patience=9, restore_best=restore)
    settings = Train(steps=4, early_stopping=stopping, log_every_epochs=1)
    fitted = trainer.fit(learner, easy.stream("batches"), settings, 1.0, validate=validate)
    assert fitted.best_step == 2
    assert torch.equal(weights(learner), kept[1 if restore else 3])


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(tmp_path) -> None:
    path = tmp_path / "checkpoint.pt"
    settings = Train(
        steps=200, lr=1e18, optimizer={"name": "sgd", "momentum": 0, "nesterov": False}
    )
    with pytest.raises(
        Diverged, match=r"not finite.*step \d+ of 200.*checkpoint\.pt.*lower train\.lr"
    ):
        trainer.fit(build(), easy.stream("batches"), settings, 1.0, checkpoint=path)
    kept = torch.load(path, weights_only=True)["learner"]
    assert all(each.isfinite().all() for each in kept.values())


def test_the_moving_average_is_what_stays() -> None:
    """Against the recursion written out: timm's warm-up, decay = min(decay, 1 - t^(-2/3)), none before t = 2."""
    learner = build()
    stream = easy.stream("batches")
    snapshots: list[torch.Tensor] = [weights(learner)]
    settings = Train(steps=6, lr=0.01, ema_decay=0.6, log_every_epochs=1)
    trainer.fit(learner, stream, settings, 1.0, on_log=lambda row, total: None)
    plain = build()
    trainer.fit(plain, stream, settings.model_copy(update={"ema_decay": None}), 1.0,
                on_log=lambda row, total: snapshots.append(weights(plain)))  # fmt: skip
    mean = snapshots[0]
    for t, now in enumerate(snapshots[1:]):
        decay = min(0.6, 1 - t ** (-2 / 3)) if t > 1 else 0.0
        mean = decay * mean + (1 - decay) * now
    counters = torch.cat([
        torch.full((each.numel(),), not each.is_floating_point()) for each in learner.state_dict().values()
    ])  # fmt: skip
    torch.testing.assert_close(weights(learner)[~counters], mean[~counters], rtol=1e-4, atol=1e-5)


def test_tasks_of_a_step_are_averaged() -> None:
    pool = streams.pool(found := easy.images(6, 0), torch.arange(len(found)), "cpu")
    stream = streams.batches(pool, 8, lambda images, labels, draw, turn: (images, labels), seed=0)
    asked: list[int] = []
    settings = Train(steps=3, tasks_per_step=2, lr=0.1, optimizer={"name": "sgd"})
    fitted = trainer.fit(build(), lambda step: asked.append(step) or stream(step), settings, 1.0)
    assert asked == [0, 1, 2, 3, 4, 5]
    assert fitted.images == 48
    assert fitted.history[0]["train_loss"] == pytest.approx(math.log(easy.N_WAY), rel=0.5)


def test_smaller_images_first_and_the_full_side_when_judged() -> None:
    settings = Train(
        steps=8,
        log_every_epochs=1,
        resolutions=[{"side": 16, "until": 0.25}, {"side": 24, "until": 0.75}],
    )
    learner, seen = build(options=scratch.Options(), method=scratch.Scratch), []
    learner.backbone.body = nn.Sequential(PoolToGrid(seen), learner.backbone.body)

    def validate(model: nn.Module) -> dict[str, float]:
        with torch.no_grad():
            model.adapt(easy.labelled(2, 0))(easy.labelled(2, 0).images)
        return {"loss": 1.0, "accuracy": 0.5}

    trainer.fit(learner, easy.stream("batches"), settings, 1.0, validate=validate)
    assert seen[0::2] == [16, 16, 24, 24, 24, 24, 32, 32]
    assert seen[1::2] == [32] * 8


class PoolToGrid(nn.Module):
    """Notes the side of what comes in and stretches it to what a flattening body takes."""

    def __init__(self, seen: list[int]) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images.shape[-1])
        return nn.functional.interpolate(images, (32, 32))


@pytest.mark.parametrize("ends", [(0.5, 0.5), (0.7, 0.3)])
def test_resolutions_that_do_not_rise_are_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="rise in `until`"):
        Train(steps=1, resolutions=[{"side": 16, "until": end} for end in ends])


@pytest.mark.slow  # the compiler takes most of a minute
def test_a_compiled_loss_trains_to_the_same_weights() -> None:
    plain, compiled, stream = build(), build(), easy.stream("batches")
    for learner, asked in ((plain, False), (compiled, True)):
        settings = Train(steps=6, lr=0.05, optimizer={"name": "sgd"}, compile=asked)
        trainer.fit(learner, stream, settings, steps_per_epoch=2)
    torch.testing.assert_close(weights(compiled), weights(plain), rtol=1e-3, atol=1e-4)
