"""How many labels a target accuracy needs, from one learning curve, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fewshot.report.forecasting import model as forecast
from fewshot.report.forecasting.model import Band
from fewshot.report.forecasting.learning_curve import Curve

DOUBLINGS = (2, 4, 8)  # times the most labels measured: what is always forecast
TOO_WIDE = 0.1  # of accuracy


class Point(NamedTuple):
    """The accuracy expected with a number of labels a class, and its 95% interval."""

    labels: float
    low: float
    accuracy: float
    high: float

    def __str__(self) -> str:
        return interval(self.low, self.accuracy, self.high)


class Needed(NamedTuple):
    """Labels a class that the target needs, and their 95% interval; None: more than REACH times the most measured."""

    low: float | None = None
    labels: float | None = None
    high: float | None = None


class Answer(NamedTuple):
    """What one curve says.

    kind: reached; open, where the target is inside the interval, but not by the middle of the forecast; beyond; no
    rise; too few; or empty where no target was asked for. band: None where nothing could be fitted.
    """

    curve: Curve
    kind: str
    forecast: list[Point]
    needed: Needed
    words: str
    band: Band | None


def answer(curve: Curve, target: float | None = None, at: Sequence[float] = ()) -> Answer:
    """The forecast from one curve, at the next doublings and where asked for, and the labels that a target needs."""
    few = len(curve.counts) < forecast.LEAST_COUNTS
    laws = [] if few else forecast.fit(curve)
    if not laws:
        kind, words = ("too few", _few(curve)) if few else ("no rise", _no_rise(curve))
        return Answer(curve, kind, [], Needed(), words, None)
    last = curve.counts[-1]
    limit = last * forecast.REACH
    band = forecast.band(laws, max(limit, *at, 0))
    asked = sorted(
        {*(last * each for each in DOUBLINGS), *(each for each in at if each >= curve.counts[0])}
    )
    told = [
        Point(float(n), *map(float, each)) for n, each in zip(asked, band.at(asked).T, strict=True)
    ]
    guess = (
        f"; beyond {labels(limit)} labels a class all is a guess"
        if any(each > limit for each in at)
        else ""
    )
    if target is None:
        return Answer(curve, "", told, Needed(), _expected(curve, told) + guess, band)
    needed = crossings(band, target, limit)
    kind = (
        "reached" if needed.labels is not None else "open" if needed.low is not None else "beyond"
    )
    if kind != "reached" and not _rises(curve):
        kind = "no rise"
    words = (
        _no_rise(curve)
        if kind == "no rise"
        else _words(curve, kind, needed, target, band, forecast.ceiling(laws))
    )
    return Answer(curve, kind, told, needed, words + guess, band)


def crossings(band: Band, target: float, limit: float) -> Needed:
    """Where the two sides and the middle of the band reach the target, as far as the limit in labels a class."""
    return Needed(
        *(_crossing(band, each, target, limit) for each in (band.high, band.middle, band.low))
    )


def _crossing(band: Band, side: np.ndarray, target: float, limit: float) -> float | None:
    """The number of labels at which one side of the band reaches the target; None: not up to the limit."""
    place = int(np.searchsorted(side, target))
    if place == 0:
        return float(band.counts[0])
    if place == len(side):
        return None
    x = np.log(band.counts[place - 1 : place + 1])
    found = math.exp(np.interp(target, side[place - 1 : place + 1], x))
    return found if found <= limit * (1 + 1e-9) else None


def _rises(curve: Curve) -> bool:
    """Whether a straight line in log n, weighted by the noise, rises by more than two of its standard errors."""
    design = np.stack([np.ones(len(curve.counts)), np.log(curve.counts)], axis=1)
    weighted = np.linalg.solve(curve.noise, design)
    covariance = np.linalg.inv(design.T @ weighted)
    return bool((covariance @ weighted.T @ curve.means)[1] > 2 * covariance[1, 1] ** 0.5)


def _words(
    curve: Curve, kind: str, needed: Needed, target: float, band: Band, ceiling: tuple[float, float]
) -> str:
    last, limit = curve.counts[-1], curve.counts[-1] * forecast.REACH
    low, middle, high = needed
    far = f"{labels(limit)}, {forecast.REACH} times the most measured"
    there = interval(*band.at([limit])[:, 0])
    if kind == "beyond" or low is None:
        text = f"{target:g} is not reached with {far}: expect {there} there"
        if ceiling[1] < target:
            return f"{text}; it lies above the ceiling of the fitted curves, {ceiling[0]:.2f} to {ceiling[1]:.2f}"
    elif middle is None:
        least = labels(low, down=True)
        text = f"whether {target:g} can be reached is not known: not with fewer than {least} labels a class, and "
        text += f"at {far}, expect {there}"
    elif middle == curve.counts[0]:
        text = f"{target:g} is reached with the fewest labels measured, {labels(middle)} a class"
    else:
        least, most = (
            labels(low, down=True),
            labels(high) if high is not None else f"more than {far}",
        )
        text = f"to reach {target:g} expect about {labels(middle)} labels a class ({least} to {most}); "
        text += f"measured up to {labels(last)}"
    if middle is None and ceiling[1] - ceiling[0] > TOO_WIDE:
        text += (
            f"; the ceiling is not visible yet, anywhere from {ceiling[0]:.2f} to {ceiling[1]:.2f}"
        )
    wide = np.ptp(band.at([2 * last])[::2, 0])
    if wide > TOO_WIDE:
        text += f"; too wide to plan with (an interval of {wide:.2f} at {labels(2 * last)}): measure more draws or labels"
    return text


def _expected(curve: Curve, told: list[Point]) -> str:
    nearest = next(each for each in told if each.labels > curve.counts[-1])
    return f"at {labels(nearest.labels)} labels a class expect {nearest}; measured up to {labels(curve.counts[-1])}"


def _few(curve: Curve) -> str:
    counts = " and ".join(map(labels, curve.counts))
    return (
        f"measured at {counts} labels a class only; a forecast needs {forecast.LEAST_COUNTS} different numbers or "
        "more, as from --shots 4, 16 and 64"
    )


def _no_rise(curve: Curve) -> str:
    (first, last), (low, high) = curve.counts[[0, -1]], curve.means[[0, -1]]
    return (
        f"accuracy does not rise with labels in what was measured ({low:.3f} at {labels(first)} a class, {high:.3f} at "
        f"{labels(last)}): these records do not say how many labels would help"
    )


def labels(count: float, down: bool = False) -> str:
    """A number of labels a class as one says it: whole ones as they are, others up or down to two digits that count."""
    if count == int(count):
        return f"{int(count)}"
    step = 10 ** max(0, math.floor(math.log10(count)) - 1)
    return f"{(math.floor if down else math.ceil)(count / step) * step}"


def interval(low: float, middle: float, high: float) -> str:
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"
