"""Parameter groups, optimisers and learning-rate schedules, all from torch and timm."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, optim
from torch.optim import lr_scheduler

from fewshot.config import Phase, Resolution, Schedule, Train
from fewshot.errors import UserError
from fewshot.training.trainable import Trainable


def _stages(learner: Trainable) -> list[list[str]]:
    """Return the parameter names of the backbone's stages, first stage first."""
    return [[f"backbone.{name}" for name in stage] for stage in learner.backbone.stages]


def set_trainable(learner: Trainable, trainable: str | int) -> None:
    """Freeze the parameters that a phase does not train, and unfreeze all others.

    Args:
        learner: the learner, changed in place.
        trainable: "all"; "head" for everything outside the backbone's stages; or a number n for
            the head and the last n stages.
    """
    frozen = _frozen(learner, trainable)
    for name, parameter in learner.named_parameters():
        parameter.requires_grad_(name not in frozen)


def trained_names(learner: Trainable, settings: Train, trainable: str | int) -> set[str]:
    """Return the names of the parameters that a phase changes: neither frozen nor at rate 0.

    Args:
        learner: the learner.
        settings: the multipliers of the learning rate.
        trainable: as for `set_trainable`.
    """
    frozen, table = _frozen(learner, trainable), settings.lr_multipliers
    names = (name for name, _ in learner.named_parameters())
    return {name for name in names if name not in frozen and _multiplier(name, table) > 0}


def _frozen(learner: Trainable, trainable: str | int) -> set[str]:
    """Return the names of the parameters that a phase does not train."""
    frozen: set[str] = set()
    if trainable != "all":
        stages = _stages(learner)
        n_trained = trainable if isinstance(trainable, int) else 0
        for stage in stages[: max(0, len(stages) - n_trained)]:
            frozen.update(stage)
    return frozen


def set_resolution(learner: Trainable, resolutions: tuple[Resolution, ...], share: float) -> None:
    """Set the side of the training images after a share of the training.

    Source: progressive resizing, Howard et al., DAWNBench 2018.
    """
    if resolutions:
        sides = (resolution.side for resolution in resolutions if share < resolution.until)
        learner.backbone.train_side = next(sides, None)


def _matches(name: str, key: str) -> bool:
    """Return whether a key, a prefix or a pattern with `*`, fits the name of a parameter."""
    return fnmatchcase(name, key) if "*" in key else name.startswith(key)


def _multiplier(name: str, table: dict[str, float]) -> float:
    """Return the multiplier of the longest key that fits a parameter's name, or 1."""
    matching = [key for key in table if _matches(name, key)]
    return table[max(matching, key=len)] if matching else 1.0


def groups(learner: Trainable, settings: Train, lr: float) -> list[dict[str, Any]]:
    """Return the optimiser's groups of trainable parameters of equal learning rate and decay.

    With `layer_decay` the head learns at `lr`, the last stage at lr * layer_decay, the stage before
    it at lr * layer_decay^2, and so on. Norms and biases, which have at most one dimension, are not
    decayed. The groups are in the order of their first parameters.

    Args:
        learner: the learner, after `set_trainable`.
        settings: weight decay, layer decay and multipliers.
        lr: the learning rate of the head.

    Raises:
        UserError: if the key of a multiplier fits no parameter.
    """
    _check_multipliers(learner, settings)
    depth_of: dict[str, int] = {}  # 1 for the last stage, 2 for the one before it; absent: the head
    for depth, stage in enumerate(reversed(_stages(learner)), start=1):
        depth_of.update(dict.fromkeys(stage, depth))
    by_rates: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in learner.named_parameters():
        if not parameter.requires_grad:
            continue
        lr_multiplier = _multiplier(name, settings.lr_multipliers)
        decay_multiplier = _multiplier(name, settings.decay_multipliers)
        rate = lr * settings.layer_decay ** depth_of.get(name, 0) * lr_multiplier
        decay = settings.weight_decay * decay_multiplier * (parameter.ndim > 1)
        group = by_rates.setdefault(
            (rate, decay), {"params": [], "lr": rate, "weight_decay": decay}
        )
        group["params"].append(parameter)
    return list(by_rates.values())


def _check_multipliers(learner: Trainable, settings: Train) -> None:
    names = [name for name, _ in learner.named_parameters()]
    tables = {
        "lr_multipliers": settings.lr_multipliers,
        "decay_multipliers": settings.decay_multipliers,
    }
    for setting, table in tables.items():
        for key in table:
            if not any(_matches(name, key) for name in names):
                relation = "matches" if "*" in key else "starts with"
                raise UserError(
                    f"train.{setting}: no parameter's name {relation} '{key}' (the first name is "
                    f"{names[0]})."
                )


def optimizer(learner: Trainable, settings: Train, lr: float) -> optim.Optimizer:
    """Return the configured optimiser over `groups`.

    Muon is timm's, which updates norms and biases by AdamW. On a CPU, torch's fused step passes
    over the weights once instead of once for each operation.
    """
    chosen, parameters = settings.optimizer, groups(learner, settings, lr)
    fused = next(learner.parameters()).device.type == "cpu" or None  # None: torch decides
    if chosen.name == "sgd":
        nesterov = chosen.nesterov and chosen.momentum > 0
        return optim.SGD(
            parameters, lr=lr, momentum=chosen.momentum, nesterov=nesterov, fused=fused
        )
    if chosen.name == "muon":
        from timm.optim import Muon

        betas = (0.9, chosen.beta2)  # of AdamW, for norms and biases
        return Muon(
            parameters, lr=lr, momentum=chosen.momentum, nesterov=chosen.nesterov, betas=betas
        )
    adam = optim.Adam if chosen.name == "adam" else optim.AdamW
    betas = (chosen.momentum, chosen.beta2)
    return adam(parameters, lr=lr, betas=betas, eps=chosen.eps, fused=fused)


def restore(optimizer: optim.Optimizer, state: dict[str, Any]) -> None:
    """Load the state of an optimiser, in the memory layout of its parameters.

    A checkpoint may be from a device with another layout, and torch's fused steps read a parameter
    and its averages side by side in the order of memory, whatever their strides.
    """
    optimizer.load_state_dict(state)
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.ndim and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def schedule(
    optimizer: optim.Optimizer, settings: Schedule, steps: int
) -> lr_scheduler.LRScheduler:
    """Return the learning rate over `steps`: a linear warm-up, then the named schedule.

    The rise of `one-cycle` is half a cosine; without a warm-up it takes torch's default, 0.3 of the
    steps.
    """
    if settings.name == "one-cycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        # torch divides by zero if the rise takes one step.
        rise = max(settings.warmup or 0.3, 2 / (steps + 1))
        return lr_scheduler.OneCycleLR(
            optimizer, peaks, total_steps=steps + 1, pct_start=rise, cycle_momentum=False
        )
    warmup_steps = round(settings.warmup * steps)
    main = _after_warmup(optimizer, settings, steps, warmup_steps)
    if warmup_steps == 0:
        return main
    warmup = lr_scheduler.LinearLR(
        optimizer, start_factor=1 / warmup_steps, total_iters=warmup_steps
    )
    return lr_scheduler.SequentialLR(optimizer, [warmup, main], [warmup_steps])


def _after_warmup(
    optimizer: optim.Optimizer, settings: Schedule, steps: int, warmup_steps: int
) -> lr_scheduler.LRScheduler:
    """Return the schedule of the steps that follow the warm-up."""
    remaining = max(1, steps - warmup_steps)
    if settings.name == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, remaining)
    if settings.name == "linear":
        return lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=remaining)
    if settings.name == "step":
        milestones = [round(share * steps) - warmup_steps for share in settings.milestones]
        return lr_scheduler.MultiStepLR(optimizer, milestones, settings.gamma)
    return lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)


def spans(phases: tuple[Phase, ...], total_steps: int) -> Iterator[tuple[int, int, Phase]]:
    """Yield (first step, step after the last, phase); the last phase ends with the training."""
    start, share = 0, 0.0
    for number, phase in enumerate(phases):
        share += phase.share
        is_last = number == len(phases) - 1
        stop = total_steps if is_last else round(share * total_steps)
        yield start, stop, phase
        start = stop
