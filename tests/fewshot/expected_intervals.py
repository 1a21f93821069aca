"""Intervals computed from raw values, for tests of tables: roots of the score equation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from scipy import stats


def half_over_trials(values: Sequence[float]) -> float:
    """Return half of Student's interval; 0 for a single value."""
    n = len(values)
    return stats.t.ppf(0.975, n - 1) * statistics.stdev(values) / n**0.5 if n > 1 else 0.0


def score_interval(mean: float, half: float) -> tuple[float, float]:
    """Return the shares p with (mean - p)^2 = w p (1 - p), where w gives `half` at p = mean."""
    weight = half**2 / (mean * (1 - mean))
    low, high = sorted(np.roots([1 + weight, -2 * mean - weight, mean**2]).real.tolist())
    return low, high


def accuracy_cell(values: Sequence[float]) -> str:
    """Return what a table must show of an accuracy."""
    mean, half = statistics.fmean(values), half_over_trials(values)
    if not half:
        return f"{mean:.4f}"
    if half <= mean <= 1 - half:
        return f"{mean:.4f} ± {half:.4f}"
    low, high = score_interval(mean, half)
    return f"{mean:.4f} ({low:.4f} to {high:.4f})"


def with_test_images(values: Sequence[float], n_test: int, image_std: float | None = None) -> str:
    """Return the interval of a record, by the binomial spread if that over images is unknown."""
    mean = statistics.fmean(values)
    variance = mean * (1 - mean) if image_std is None else image_std**2
    by_images = 1.959964 * (variance / n_test) ** 0.5
    low, high = score_interval(mean, float(np.hypot(half_over_trials(values), by_images)))
    return f"{low:.4f} to {high:.4f}"
