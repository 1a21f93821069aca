"""Log points: intervals counted by hand, and the rows of a validation."""

from __future__ import annotations

import pytest

from fewshot.config import Train
from fewshot.training import history


@pytest.mark.parametrize(
    ("every_epochs", "steps_per_epoch", "total_steps", "interval"),
    [
        (None, 10.0, 100, 10),  # once in an epoch
        (None, 1.0, 1000, 20),  # 50 in total
        (None, 1.0, 1001, 21),
        (None, 0.2, 10, 1),
        (0.5, 10.0, 100, 5),
        (2.0, 1.5, 100, 3),
        (0.01, 10.0, 100, 1),
        (float("inf"), 10.0, 100, 100),  # at the end alone
    ],
)
def test_the_interval(
    every_epochs: float | None, steps_per_epoch: float, total_steps: int, interval: int
) -> None:
    settings = Train(steps=total_steps).model_copy(update={"log_every_epochs": every_epochs})
    assert history.log_interval(settings, steps_per_epoch, total_steps) == interval


def test_values_of_a_validation_are_named_so() -> None:
    row = history.with_validation({"step": 1, "epoch": 0.5}, {"loss": 2.0, "accuracy": 0.25})
    expected = {"step": 1, "epoch": 0.5, "validation_loss": 2.0, "validation_accuracy": 0.25}
    assert row == expected
