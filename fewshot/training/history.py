"""What a training reports: its log points, and the sums at its end."""

from __future__ import annotations

from typing import NamedTuple, Required, TypedDict

from fewshot.config import Train

LOG_POINTS = 50  # of a training, at most


class LogPoint(TypedDict, total=False):
    """One row of the history of a training.

    Attributes:
        step: optimiser steps done.
        epoch: passes over the training images.
        lr: learning rate of the last parameter group; absent before the first step.
        train_loss: mean loss since the previous log point; absent before the first step.
        validation_loss: mean loss on the validation set, if there is one.
        validation_accuracy: accuracy on the validation set, if there is one.
    """

    step: Required[int]
    epoch: Required[float]
    lr: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float


class Fitted(NamedTuple):
    """What a training did.

    Attributes:
        history: the log points.
        steps: optimiser steps done.
        seconds: seconds of training over all sessions, without evaluation and saving.
        images: images processed, repeated ones included.
        best_step: the step of the best validation value, or None without a validation set.
    """

    history: list[LogPoint]
    steps: int
    seconds: float
    images: int
    best_step: int | None


def with_validation(row: LogPoint, result: dict[str, float]) -> LogPoint:
    """Return a row with the values of a validation added, as `validation_loss` and so on."""
    values = {f"validation_{name}": value for name, value in result.items()}
    return {**row, **values}  # type: ignore[typeddict-item]  # the names are computed


def log_interval(settings: Train, steps_per_epoch: float, total_steps: int) -> int:
    """Return the steps between two log points: as configured, or at most LOG_POINTS in total."""
    if settings.log_every_epochs is not None:
        return max(1, round(min(settings.log_every_epochs * steps_per_epoch, total_steps)))
    return max(1, round(steps_per_epoch), -(-total_steps // LOG_POINTS))
