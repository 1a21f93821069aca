"""The columns about time in tables, and the sentence that explains them."""

from __future__ import annotations

from fewshot.runs.run_record import RunRecord

SECONDS = (
    "Seconds per trial: training, adaptation and calibration, without evaluation. Features (s): "
    "the time in which the frozen features of a trial's images were computed, once for all trials "
    "and methods of a network; where an older record states no such time, it is part of the "
    "seconds of the trial that computed them."
)


def feature_seconds(record: RunRecord) -> str:
    """Return the seconds in which the features of a trial were computed; empty if not recorded."""
    seconds = record.cost.feature_seconds
    return "" if seconds is None else f"{seconds:.1f}"
