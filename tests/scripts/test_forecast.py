"""The alternatives to the forecast on curves whose continuation is known."""

from __future__ import annotations

import numpy as np
import pytest

from scripts import forecast
from tests.fewshot.report.forecasting.curves import curve, law


def test_a_power_law_is_recovered() -> None:
    shown = curve(law(0.85, 0.4, 0.5, noise=1e-4))
    assert forecast.power_law(shown, np.array([256.0])) == pytest.approx(
        [0.85 - 0.4 / 16], abs=0.01
    )


def test_the_simple_alternatives() -> None:
    shown = curve(law(0.8, 0.3, 0.5, noise=0.0))
    assert forecast.last_value(shown, np.array([128.0, 256.0])) == pytest.approx(
        [shown.means[-1]] * 2
    )
    slope = (shown.means[-1] - shown.means[-3]) / np.log(4)
    expected = shown.means[-1] + slope * np.log(2)
    assert forecast.straight_line(shown, np.array([128.0]))[0] == pytest.approx(expected, abs=0.01)
