"""Parameter groups, optimisers and learning-rate schedules, all from torch and timm."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from torch import optim
from torch.optim import lr_scheduler

from fewshot.config import Phase, Resolution, Schedule, Train
from fewshot.errors import UserError
from fewshot.training.trainable import Trainable


def _stages(learner: Trainable) -> list[list[str]]:
    """Return the parameter names of the backbone's stages, first stage first."""
    return [[f"backbone.{name}" for name in stage] for stage in learner.backbone.stages]


def set_trainable(learner: Trainable, trainable: str | int) -> None:
    """Freeze what a phase leaves alone: everything but the head and, for a number n, the backbone's last n stages."""
    frozen: set[str] = set()
    if trainable != "all":
        stages = _stages(learner)
        keep = trainable if isinstance(trainable, int) else 0
        frozen = {name for stage in stages[: max(0, len(stages) - keep)] for name in stage}
    for name, parameter in learner.named_parameters():
        parameter.requires_grad_(name not in frozen)


def set_resolution(learner: Trainable, resolutions: tuple[Resolution, ...], share: float) -> None:
    """The side of the training images after a share of the training (Howard et al., DAWNBench 2018)."""
    if resolutions:
        side = next((each.side for each in resolutions if share < each.until), None)
        learner.backbone.train_side = side


def _fits(name: str, key: str) -> bool:
    """Whether a key of a table of multipliers, a prefix or a pattern with `*`, means the parameter."""
    return fnmatchcase(name, key) if "*" in key else name.startswith(key)


def _multiplier(name: str, table: dict[str, float]) -> float:
    """That of the longest key that fits the parameter's name, 1 where none does."""
    fitting = [key for key in table if _fits(name, key)]
    return table[max(fitting, key=len)] if fitting else 1.0


def groups(learner: Trainable, settings: Train, lr: float) -> list[dict[str, Any]]:
    """Optimiser groups of the trainable parameters by their rate and decay, in the order of the parameters.

    layer_decay: the head learns at `lr`, the last stage at lr * layer_decay, the one before at its square, ...
    Norms and biases (one dimension or none) are not decayed.
    Raises UserError for a multiplier whose key fits no parameter.
    """
    names = [name for name, _ in learner.named_parameters()]
    for key, table in (
        ("lr_multipliers", settings.lr_multipliers),
        ("decay_multipliers", settings.decay_multipliers),
    ):
        for each in table:
            if not any(_fits(name, each) for name in names):
                meant = "is as" if "*" in each else "starts with"
                raise UserError(
                    f"train.{key}: no parameter's name {meant} '{each}' (the first is {names[0]})."
                )
    depth = {
        name: height
        for height, stage in enumerate(reversed(_stages(learner)), start=1)
        for name in stage
    }
    found: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in learner.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = (
            lr
            * settings.layer_decay ** depth.get(name, 0)
            * _multiplier(name, settings.lr_multipliers)
        )
        decay = (
            settings.weight_decay
            * _multiplier(name, settings.decay_multipliers)
            * (parameter.ndim > 1)
        )
        group = found.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return list(found.values())


def optimizer(learner: Trainable, settings: Train, lr: float) -> optim.Optimizer:
    """The configured optimiser over `groups`; Muon is timm's, which takes filters and gives the rest to AdamW."""
    chosen, parameters = settings.optimizer, groups(learner, settings, lr)
    if chosen.name == "sgd":
        nesterov = chosen.nesterov and chosen.momentum > 0
        return optim.SGD(parameters, lr=lr, momentum=chosen.momentum, nesterov=nesterov)
    if chosen.name == "muon":
        from timm.optim import Muon

        betas = (0.9, chosen.beta2)  # of the AdamW that takes norms and biases
        return Muon(
            parameters, lr=lr, momentum=chosen.momentum, nesterov=chosen.nesterov, betas=betas
        )
    adam = optim.Adam if chosen.name == "adam" else optim.AdamW
    return adam(parameters, lr=lr, betas=(chosen.momentum, chosen.beta2), eps=chosen.eps)


def schedule(
    optimizer: optim.Optimizer, settings: Schedule, steps: int
) -> lr_scheduler.LRScheduler:
    """The learning rate over `steps`: linear warm-up, then the named schedule."""
    if settings.name == "one-cycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        rise = max(
            settings.warmup or 0.3, 2 / (steps + 1)
        )  # torch divides by zero where the rise is one step
        return lr_scheduler.OneCycleLR(
            optimizer, peaks, total_steps=steps + 1, pct_start=rise, cycle_momentum=False
        )
    warm = round(settings.warmup * steps)
    main: lr_scheduler.LRScheduler
    if settings.name == "cosine":
        main = lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps - warm))
    elif settings.name == "linear":
        main = lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=max(1, steps - warm))
    elif settings.name == "step":
        main = lr_scheduler.MultiStepLR(
            optimizer,
            [round(share * steps) - warm for share in settings.milestones],
            settings.gamma,
        )
    else:
        main = lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)
    if warm == 0:
        return main
    rising = lr_scheduler.LinearLR(optimizer, start_factor=1 / warm, total_iters=warm)
    return lr_scheduler.SequentialLR(optimizer, [rising, main], [warm])


def spans(phases: tuple[Phase, ...], total_steps: int) -> Iterator[tuple[int, int, Phase]]:
    """(first step, step after the last, phase), one after the other; the last phase ends with the training."""
    start, share = 0, 0.0
    for number, phase in enumerate(phases):
        share += phase.share
        stop = total_steps if number == len(phases) - 1 else round(share * total_steps)
        yield start, stop, phase
        start = stop
