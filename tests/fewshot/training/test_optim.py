"""Parameter groups and schedules: rates written out by hand and formulas of the schedules."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from episodes.errors import UserError
from fewshot.config import Optimizer, Phase, Resolution, Schedule, Train
from fewshot.training import optim
from fewshot.training.trainable import Trainable


class StubBackbone(nn.Module):
    """Three stages of one layer each, the second with a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(2, 2), nn.Linear(2, 2), nn.LayerNorm(2)
        self.third = nn.Linear(2, 2)
        self.stages = [
            ["first.weight", "first.bias"],
            ["second.weight", "second.bias", "norm.weight", "norm.bias"],
            ["third.weight", "third.bias"],
        ]
        self.train_side: int | None = None


class Stub(Trainable):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = StubBackbone()
        self.head = nn.Linear(2, 3)

    def loss(self, item: Tensor) -> Tensor:
        raise NotImplementedError


def by_name(settings: Train, key: str, lr: float = 1.0) -> dict[str, float]:
    """Return the learning rate ("lr") or the decay ("weight_decay") of each parameter."""
    learner = Stub()
    names = {parameter: name for name, parameter in learner.named_parameters()}
    values: dict[str, float] = {}
    for group in optim.groups(learner, settings, lr):
        for parameter in group["params"]:
            values[names[parameter]] = group[key]
    assert set(values) == set(names.values())
    return values


@pytest.mark.parametrize(
    ("trainable", "trained_stages"), [("all", 3), ("head", 0), (1, 1), (2, 2), (7, 3)]
)
def test_a_phase_trains_the_head_and_the_last_stages(
    trainable: str | int, trained_stages: int
) -> None:
    learner = Stub()
    optim.set_trainable(learner, "head")  # what was frozen before is unfrozen
    optim.set_trainable(learner, trainable)
    names = {name for name, parameter in learner.named_parameters() if parameter.requires_grad}
    expected = {"head.weight", "head.bias"}
    for stage in learner.backbone.stages[3 - trained_stages :]:
        expected |= {f"backbone.{name}" for name in stage}
    assert names == expected


def test_frozen_parameters_are_in_no_group() -> None:
    learner = Stub()
    optim.set_trainable(learner, 1)
    groups = optim.groups(learner, Train(steps=1), 1.0)
    assert sum(len(group["params"]) for group in groups) == 4


def test_rates_fall_with_depth() -> None:
    rates = by_name(Train(steps=1, layer_decay=0.5), "lr", lr=8.0)
    assert rates["head.weight"] == rates["head.bias"] == 8.0
    assert rates["backbone.third.weight"] == 4.0
    assert rates["backbone.norm.bias"] == rates["backbone.second.weight"] == 2.0
    assert rates["backbone.first.bias"] == 1.0


def test_norms_and_biases_are_not_decayed() -> None:
    settings = Train(steps=1, weight_decay=0.1, decay_multipliers={"head": 3.0})
    decays = by_name(settings, "weight_decay")
    assert decays["backbone.first.weight"] == 0.1
    assert decays["head.weight"] == pytest.approx(0.3)
    assert decays["backbone.norm.weight"] == decays["head.bias"] == 0.0


def test_the_longest_matching_multiplier_counts() -> None:
    multipliers = {"*.bias": 7.0, "head.bias": 3.0, "backbone.first": 0.5}
    rates = by_name(Train(steps=1, lr_multipliers=multipliers), "lr")
    assert rates["head.bias"] == 3.0
    assert rates["backbone.second.bias"] == 7.0
    assert rates["backbone.first.weight"] == rates["backbone.first.bias"] == 0.5
    assert rates["backbone.second.weight"] == 1.0


@pytest.mark.parametrize(
    ("key", "message"),
    [("*.bais", r"no parameter's name matches '\*\.bais'"), ("haed", "starts with 'haed'")],
)
@pytest.mark.parametrize("setting", ["lr_multipliers", "decay_multipliers"])
def test_a_multiplier_that_fits_nothing(setting: str, key: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"train\.{setting}.*{message}"):
        optim.groups(Stub(), Train(steps=1, **{setting: {key: 2.0}}), 1.0)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_the_optimiser_is_the_named_one(name: str) -> None:
    settings = Train(steps=1, optimizer=Optimizer(name=name, momentum=0.8, beta2=0.95))
    optimizer = optim.optimizer(Stub(), settings, 0.1)
    assert type(optimizer).__name__.lower() == name
    group = optimizer.param_groups[0]
    assert group["lr"] == 0.1
    if name in ("adam", "adamw"):
        assert group["betas"] == (0.8, 0.95)
    else:
        assert group["momentum"] == 0.8


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_fused_step_on_a_cpu_is_that_of_torchs_plain_loop(name: str) -> None:
    settings = Train(steps=1, optimizer=Optimizer(name=name), weight_decay=0.1)
    learner, plain = Stub(), Stub()
    plain.load_state_dict(learner.state_dict())
    for model, fused in ((learner, True), (plain, False)):
        optimizer = optim.optimizer(model, settings, 0.1)
        assert optimizer.param_groups[0]["fused"] is True
        for group in optimizer.param_groups:
            group["fused"] = fused
        for step in range(3):
            for number, parameter in enumerate(model.parameters()):
                parameter.grad = torch.full_like(parameter, math.sin(7 * number + step))
            optimizer.step()
    for ours, theirs in zip(learner.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("fused", [True, False])
def test_a_state_from_another_memory_layout_continues(name: str, fused: bool) -> None:
    settings = Train(steps=1, optimizer=Optimizer(name=name))
    torch.manual_seed(0)
    uninterrupted, first, second = (Stub() for _ in range(3))
    for model in (uninterrupted, first, second):
        model.backbone.filters = nn.Parameter(torch.ones(5, 4, 3, 3))
    second.to(memory_format=torch.channels_last)
    gradients = torch.randn(3, 5, 4, 3, 3)

    def take(model: Stub, optimizer: torch.optim.Optimizer, gradient: Tensor) -> None:
        filters = model.backbone.filters
        filters.grad = torch.empty_like(filters).copy_(gradient)
        optimizer.step()

    plain = optim.optimizer(uninterrupted, settings, 0.1)
    for group in plain.param_groups:
        group["fused"] = False
    for gradient in gradients:
        take(uninterrupted, plain, gradient)

    saving = optim.optimizer(first, settings, 0.1)
    for group in saving.param_groups:
        group["fused"] = fused
    for gradient in gradients[:2]:
        take(first, saving, gradient)
    second.load_state_dict(first.state_dict())
    continuing = optim.optimizer(second, settings, 0.1)
    optim.restore(continuing, saving.state_dict())
    take(second, continuing, gradients[2])
    torch.testing.assert_close(second.backbone.filters, uninterrupted.backbone.filters)


def rates(schedule: Schedule, steps: int) -> list[float]:
    """Return the learning rate of each step of a training at a rate of 2."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = optim.schedule(optimizer, schedule, steps)
    values: list[float] = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


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
    rise = [0.04 + 0.96 * (1 - math.cos(math.pi * i / 29.3)) / 2 for i in range(29)]
    by_default = rates(Schedule(name="one-cycle"), 100)  # 0.3 of 101 steps, counted from 0
    assert by_default[:29] == pytest.approx([2 * share for share in rise])
    assert by_default == rates(Schedule(name="one-cycle", warmup=0.3), 100)


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.3])
@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "one-cycle", "step"])
def test_every_schedule_lasts_for_any_number_of_steps(name: str, warmup: float) -> None:
    for steps in (1, 2, 3, 7):
        values = rates(Schedule(name=name, warmup=warmup), steps)
        assert all(0 <= rate <= 2.0 + 1e-9 for rate in values)
        assert values[0] > 0


def test_phases_cover_the_training_without_gaps() -> None:
    phases = (Phase(share=0.3), Phase(share=0.3), Phase(share=0.4))
    assert [(start, stop) for start, stop, _ in optim.spans(phases, 10)] == [
        (0, 3),
        (3, 6),
        (6, 10),
    ]
    assert [(start, stop) for start, stop, _ in optim.spans(phases, 1)] == [(0, 0), (0, 1), (1, 1)]
    assert [phase for *_, phase in optim.spans(phases, 7)] == list(phases)


def test_resolutions_change_at_their_shares() -> None:
    learner = Stub()
    resolutions = (Resolution(side=16, until=0.25), Resolution(side=24, until=0.75))
    sides = []
    for share in (0.0, 0.2, 0.25, 0.7, 0.75, 0.9):
        optim.set_resolution(learner, resolutions, share)
        sides.append(learner.backbone.train_side)
    assert sides == [16, 16, 24, 24, None, None]
