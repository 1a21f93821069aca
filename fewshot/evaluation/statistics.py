"""Intervals and paired comparisons of the values that trials gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def summary(values: Sequence[float]) -> dict[str, Any]:
    """mean, std (n-1), ci95 (half width, Student's t over the draws) and the values; null where n is 1."""
    n = len(values)
    if n == 1:
        return {"mean": values[0], "std": None, "ci95": None, "values": list(values)}
    from scipy.stats import t

    std = float(np.std(values, ddof=1))
    half = float(t.ppf(0.975, n - 1)) * std / n**0.5
    return {"mean": float(np.mean(values)), "std": std, "ci95": half, "values": list(values)}
