"""Answers for curves from a known law: the number of labels is solved by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from fewshot.evaluation.learning_curve_model import Curve
from fewshot.report.forecasting import answer
from fewshot.runs.run_record import RunRecord
from tests.fewshot.report.forecasting.curves import at, curve, law


def unending(records: list[RunRecord]) -> Curve:
    """Return the curve of a preset that is never replaced by another."""
    return curve([replace(one, preset="random") for one in records])


def test_no_forecast_crosses_a_change_of_the_preset() -> None:
    records = law(0.85, 0.4, 0.5)  # preset few, 1 to 64 labels per class
    words = (
        "there is no forecast beyond 100 labels per class, where another preset becomes the "
        "default and the training changes: measure there"
    )
    bounded = answer.answer(curve(records), 0.81, at=[80, 128, 1024])
    assert [point.labels for point in bounded.forecast] == [80, 100]
    assert bounded.forecast[1].accuracy == pytest.approx(0.85 - 0.4 / 10, abs=0.005)
    assert bounded.words.endswith(f"; {words}")
    reached = answer.answer(curve(records), 0.79)  # truth: 44 labels
    assert reached.needed.labels == pytest.approx((0.4 / 0.06) ** 2, rel=0.15)
    beyond = answer.answer(curve(records), 0.84)  # truth: 1600 labels
    assert (beyond.kind, beyond.needed) == ("beyond", (None, None, None))
    assert "0.84 is not reached with 100 labels per class" in beyond.words
    at_the_end = answer.answer(curve(law(0.85, 0.4, 0.5, shots=(4, 20, 100))))
    assert at_the_end.forecast == []
    assert at_the_end.words == f"measured up to 100; {words}"


def test_a_known_law_is_recovered() -> None:
    measured = answer.answer(unending(law(0.85, 0.4, 0.5)), 0.81, at=[1024])
    for point in measured.forecast:
        truth = 0.85 - 0.4 * point.labels**-0.5
        assert point.accuracy == pytest.approx(truth, abs=0.006)
        assert point.low < truth < point.high
    assert [point.labels for point in measured.forecast] == [128, 256, 512, 1024]
    truth = (0.4 / 0.04) ** 2
    assert measured.kind == "reached"
    assert measured.needed.labels == pytest.approx(truth, rel=0.15)
    assert measured.needed.low < truth < measured.needed.high
    assert re.match(
        r"to reach 0.81, expect about \d{2,3} labels per class \(\d\d to \d{3}\); "
        r"measured up to 64",
        measured.words,
    )


def test_more_noise_and_more_distance_widen_the_interval() -> None:
    def widths(noise: float) -> np.ndarray:
        points = answer.answer(curve(law(0.85, 0.4, 0.5, noise=noise))).forecast
        return np.array([point.high - point.low for point in points])

    assert (np.diff(widths(0.04)) > 0).all()
    assert (widths(0.04) > widths(0.001)).all()


def test_the_band_never_falls_and_a_higher_target_never_needs_fewer_labels() -> None:
    measured = curve(law(0.8, 0.4, 0.4, noise=0.04))
    band = answer.answer(measured).band
    for side in (band.low, band.middle, band.high):
        assert (np.diff(side) >= 0).all()
    assert (band.low <= band.middle).all()
    assert (band.middle <= band.high).all()
    needed = [answer.answer(measured, target).needed for target in np.arange(0.45, 0.9, 0.05)]
    far = np.array([[np.inf if part is None else part for part in counts] for counts in needed])
    assert (far[1:] >= far[:-1]).all()
    assert (far[:, 0] <= far[:, 1]).all()
    assert (far[:, 1] <= far[:, 2]).all()


@pytest.mark.parametrize("drop", [0.0, 0.1])
def test_a_flat_or_falling_curve_supports_no_number(drop: float) -> None:
    values = (0.48, 0.5, 0.52, 0.5)
    measured = [
        at(n, tuple(value - drop * step for value in values)) for step, n in enumerate((2, 8, 32))
    ]
    result = answer.answer(curve(measured), 0.7)
    assert result.kind == "no rise"
    assert result.needed.labels is None
    assert "does not rise with the number of labels" in result.words


def test_two_numbers_of_labels_are_too_few() -> None:
    result = answer.answer(curve([at(4, (0.4, 0.5)), at(16, (0.6, 0.7))]), 0.8)
    assert (result.kind, result.forecast, result.band) == ("too few", [], None)
    assert result.words.startswith(
        "measured at 4 and 16 labels per class only; a forecast needs at least 3 different numbers"
    )


def test_a_target_above_the_ceiling() -> None:
    result = answer.answer(curve(law(0.7, 0.4, 1.0)), 0.9)
    assert result.kind == "beyond"
    assert result.needed == (None, None, None)
    assert "the target is above the ceiling of the fitted curves, 0.67 to 0.72" in result.words


def test_a_ceiling_that_is_not_known_yet() -> None:
    straight = [
        at(n, (0.3 + 0.05 * place, 0.32 + 0.05 * place)) for place, n in enumerate((1, 2, 4, 8))
    ]
    assert "the ceiling of the curve is not known yet" in answer.answer(curve(straight), 0.9).words


def test_far_beyond_the_measurements_is_called_a_guess() -> None:
    measured = unending(law(0.85, 0.4, 0.5))
    assert answer.answer(measured, at=[1025]).words.endswith(
        "beyond 1024 labels per class, every number is a guess"
    )
    assert "guess" not in answer.answer(measured, 0.8, at=[1024]).words


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_an_accuracy_of_0_or_1(accuracy: float) -> None:
    result = answer.answer(curve([at(n, (accuracy,) * 3) for n in (1, 4, 16)]), 0.9)
    assert result.kind == ("no rise" if accuracy == 0 else "reached")


def test_a_target_within_the_measurements() -> None:
    result = answer.answer(curve(law(0.85, 0.4, 0.5)), 0.7)  # truth: 7.1 labels
    assert result.needed.labels == pytest.approx((0.4 / 0.15) ** 2, rel=0.1)
    assert answer.answer(curve(law(0.85, 0.4, 0.5)), 0.4).words.startswith(
        "0.4 is reached with the fewest labels"
    )


@pytest.mark.parametrize(
    ("count", "up", "down"),
    [(64, "64", "64"), (128.0, "128", "128"), (4.2, "5", "4"), (171.3, "180", "170")],
)
def test_numbers_of_labels_are_rounded_to_the_safe_side(count: float, up: str, down: str) -> None:
    assert (answer.labels(count), answer.labels(count, down=True)) == (up, down)
