"""Means over trials of different lengths against means computed by hand."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from fewshot.report.plots import epoch_curves


def test_means_over_draws_that_ended_early() -> None:
    draws = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, np.nan], [2.0, np.nan, np.nan]])
    middle, spread = epoch_curves.over_trials(draws)
    assert middle.tolist() == [2.0, 3.0, 3.0]
    assert spread == pytest.approx([1.0, statistics.stdev([2.0, 4.0]), 0.0])
