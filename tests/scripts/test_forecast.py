"""The alternatives to the forecast on curves whose continuation is known."""

from __future__ import annotations

import numpy as np
import pytest

from fewshot.report.forecasting.answer import Needed, Point
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


def test_forecasts_without_a_number_count_as_the_largest() -> None:
    shown = curve(law(0.8, 0.3, 0.5, noise=0.0))

    def case(labels: float | None) -> forecast.Case:
        point, needed = Point(100.0, 0.4, 0.5, 0.6), Needed(50.0, labels, None)
        return forecast.Case(shown, 2.0, 0.5, point, (), needed, ())

    group = [case(labels) for labels in (50.0, None, 80.0, None, 200.0)]
    rows = forecast._labels([("some", group), ("most", [*group, case(None), case(None)])])
    cells = [[one.strip() for one in line.strip("|").split("|")] for line in rows.splitlines()]
    some, most = cells[-2:]
    assert some == ["some", "5", "3", "100%", "2.00", "0.80 to beyond the limit"]
    assert most[2:] == ["3", "100%", "beyond the limit", "1.40 to beyond the limit"]
