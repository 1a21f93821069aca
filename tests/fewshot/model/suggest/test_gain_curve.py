"""The gain is a paired difference. Oracle: the paired t-test of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fewshot.model.suggest.gain_curve import Curve


def test_the_gain_is_a_paired_difference() -> None:
    random = np.random.default_rng(0)
    ours, theirs = random.random((6, 2)), random.random((6, 2))
    counts = np.zeros((6, 2), dtype=np.int64)
    curve = Curve((10, 20), ours, theirs, counts, counts)
    gain = curve.gain(1)
    expected = stats.ttest_rel(ours[:, 1], theirs[:, 1])
    low, high = expected.confidence_interval()
    assert gain.mean == pytest.approx((low + high) / 2)
    assert gain.half == pytest.approx((high - low) / 2)
    assert gain.p == pytest.approx(expected.pvalue)
    assert curve.to_json()["random"] == theirs.tolist()
