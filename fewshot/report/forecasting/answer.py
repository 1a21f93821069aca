"""How many labels a target accuracy needs according to one learning curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fewshot.evaluation import learning_curve_model as model
from fewshot.evaluation.learning_curve_model import Band, Curve

DOUBLINGS = (2, 4, 8)  # times the largest measured number of labels: always forecast
TOO_WIDE = 0.1  # of accuracy


class Point(NamedTuple):
    """The expected accuracy at a number of labels per class, with its 95% interval."""

    labels: float
    low: float
    accuracy: float
    high: float

    def __str__(self) -> str:
        return interval(self.low, self.accuracy, self.high)


class Needed(NamedTuple):
    """The labels per class that a target needs, with their 95% interval.

    None means more than the limit of the curve.
    """

    low: float | None = None
    labels: float | None = None
    high: float | None = None


class Answer(NamedTuple):
    """The forecast from one curve.

    kind: reached; open, if the target lies in the interval but not below the middle of the
    forecast; beyond; no rise; too few; or empty if no target was given. band: None if nothing
    could be fitted.
    """

    curve: Curve
    kind: str
    forecast: list[Point]
    needed: Needed
    words: str
    band: Band | None


def answer(curve: Curve, target: float | None = None, at: Sequence[float] = ()) -> Answer:
    """Return the forecast from one curve and the number of labels that a target needs.

    Args:
        curve: the measurements.
        target: the accuracy to reach.
        at: labels per class to forecast for, besides the next doublings.
    """
    if len(curve.counts) < model.LEAST_COUNTS:
        return Answer(curve, "too few", [], Needed(), _few(curve), None)
    laws = model.fit(curve)
    if not laws:
        return Answer(curve, "no rise", [], Needed(), _no_rise(curve), None)
    last, limit = curve.counts[-1], model.limit(curve)
    most = math.inf if curve.end is None else curve.end
    band = model.band(laws, max(limit, *(count for count in at if count <= most), 0))
    counts = {last * factor for factor in DOUBLINGS}
    counts |= {count for count in at if count >= curve.counts[0]}
    if last < most:
        counts.add(min(most, 2 * last))
    counts = {count for count in counts if count <= most}
    points = []
    for n, sides in zip(sorted(counts), band.at(sorted(counts)).T, strict=True):
        points.append(Point(float(n), *map(float, sides)))
    beyond = _beyond(curve, at)
    if target is None:
        return Answer(curve, "", points, Needed(), _expected(curve, points) + beyond, band)
    needed = crossings(band, target, limit)
    kind = "reached"
    if needed.labels is None:
        kind = "beyond" if needed.low is None else "open"
    if kind != "reached" and not _rises(curve):
        return Answer(curve, "no rise", points, needed, _no_rise(curve) + beyond, band)
    words = _words(curve, needed, target, band, model.ceiling(laws))
    return Answer(curve, kind, points, needed, words + beyond, band)


def _beyond(curve: Curve, at: Sequence[float]) -> str:
    """Return that nothing is forecast beyond the limit of a curve, if anything is asked there."""
    if curve.end is not None and curve.end < curve.counts[-1] * model.REACH:
        return (
            f"; there is no forecast beyond {labels(curve.end)} labels per class, where another "
            "preset becomes the default and the training changes: measure there"
        )
    if any(count > model.limit(curve) for count in at):
        return f"; beyond {labels(model.limit(curve))} labels per class, every number is a guess"
    return ""


def crossings(band: Band, target: float, limit: float) -> Needed:
    """Return where the two sides and the middle of the band reach the target, up to a limit."""
    return Needed(
        *(_crossing(band, side, target, limit) for side in (band.high, band.middle, band.low))
    )


def _crossing(band: Band, side: np.ndarray, target: float, limit: float) -> float | None:
    """Return the number of labels at which one side of the band reaches the target, or None."""
    index = int(np.searchsorted(side, target))
    if index == 0:
        return float(band.counts[0])
    if index == len(side):
        return None
    x = np.log(band.counts[index - 1 : index + 1])
    count = math.exp(np.interp(target, side[index - 1 : index + 1], x))
    return count if count <= limit * (1 + 1e-9) else None


def _rises(curve: Curve) -> bool:
    """Return whether a line in log n, weighted by the noise, rises by over two standard errors."""
    design = np.stack([np.ones(len(curve.counts)), np.log(curve.counts)], axis=1)
    weighted = np.linalg.solve(curve.noise, design)
    covariance = np.linalg.inv(design.T @ weighted)
    return bool((covariance @ weighted.T @ curve.means)[1] > 2 * covariance[1, 1] ** 0.5)


def _words(
    curve: Curve, needed: Needed, target: float, band: Band, ceiling: tuple[float, float]
) -> str:
    last, limit = curve.counts[-1], model.limit(curve)
    low, middle, high = needed
    far = f"{labels(limit)}"
    if limit == last * model.REACH:
        far += f" ({model.REACH} times the largest number measured)"
    there = interval(*band.at([limit])[:, 0])
    if low is None:
        text = f"{target:g} is not reached with {far} labels per class; expect {there} there"
        if ceiling[1] < target:
            ends = f"{ceiling[0]:.2f} to {ceiling[1]:.2f}"
            return f"{text}; the target is above the ceiling of the fitted curves, {ends}"
    elif middle is None:
        text = (
            f"it is uncertain whether {target:g} can be reached: it takes at least "
            f"{labels(low, down=True)} labels per class, and with {far} expect {there}"
        )
    elif middle == curve.counts[0]:
        text = f"{target:g} is reached with the fewest labels measured, {labels(middle)} per class"
    else:
        most = labels(high) if high is not None else f"more than {far}"
        text = (
            f"to reach {target:g}, expect about {labels(middle)} labels per class "
            f"({labels(low, down=True)} to {most}); measured up to {labels(last)}"
        )
    if middle is None and ceiling[1] - ceiling[0] > TOO_WIDE:
        ends = f"{ceiling[0]:.2f} to {ceiling[1]:.2f}"
        text += f"; the ceiling of the curve is not known yet, it may be anywhere from {ends}"
    next_count = min(2 * last, limit)
    width = np.ptp(band.at([next_count])[::2, 0])
    if width > TOO_WIDE:
        text += (
            f"; the interval at {labels(next_count)} labels is {width:.2f} wide, too wide for "
            "planning: run more trials, or more numbers of labels"
        )
    return text


def _expected(curve: Curve, points: list[Point]) -> str:
    measured = f"measured up to {labels(curve.counts[-1])}"
    further = [point for point in points if point.labels > curve.counts[-1]]
    if not further:
        return measured
    return f"expect {further[0]} with {labels(further[0].labels)} labels per class; {measured}"


def _few(curve: Curve) -> str:
    counts = " and ".join(map(labels, curve.counts))
    return (
        f"measured at {counts} labels per class only; a forecast needs at least "
        f"{model.LEAST_COUNTS} different numbers, for example --shots 4, 16 and 64"
    )


def _no_rise(curve: Curve) -> str:
    (first, last), (low, high) = curve.counts[[0, -1]], curve.means[[0, -1]]
    return (
        f"the measured accuracy does not rise with the number of labels ({low:.3f} at "
        f"{labels(first)} per class, {high:.3f} at {labels(last)}), so there is no forecast"
    )


def labels(count: float, down: bool = False) -> str:
    """Return a number of labels per class: whole ones exactly, others rounded to two digits.

    Args:
        count: the number.
        down: round down instead of up.
    """
    if count == int(count):
        return f"{int(count)}"
    step = 10 ** max(0, math.floor(math.log10(count)) - 1)
    return f"{(math.floor if down else math.ceil)(count / step) * step}"


def interval(low: float, middle: float, high: float) -> str:
    """Return an accuracy with its 95% interval in brackets."""
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"
