"""The columns about time in tables, which mean the same everywhere, and what explains them."""

from __future__ import annotations

from fewshot.runs.run_record import RunRecord

SECONDS = (
    "Seconds per trial: training, adaptation and calibration, without features and evaluation. "
    "Features (s): the time in which the frozen features of a trial's images were computed, once "
    "for all trials and methods of a network, in this run or in an earlier one. So neither number "
    "depends on which run filled the cache of features. An older record does not separate features "
    "from adaptation: it has the seconds of its training alone."
)


def seconds(record: RunRecord, form: str = ".1f") -> str:
    """Return the seconds per trial without features; empty if the record does not separate them."""
    seconds = record.cost.seconds
    return "" if seconds is None else f"{seconds:{form}}"


def feature_seconds(record: RunRecord) -> str:
    """Return the seconds in which the features of a trial were computed; empty if not recorded."""
    seconds = record.cost.feature_seconds
    return "" if seconds is None else f"{seconds:.1f}"
