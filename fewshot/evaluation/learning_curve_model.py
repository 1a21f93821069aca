"""Forecast the accuracy at more labels than were measured, with a 95% interval.

Two laws of n labels per class are fitted, each of the form a - b n^-c: one for the accuracy and one
for its log-odds. A random walk over the doublings of n is added to each, because real curves stray
from any such law.

Source: power laws: Hestness et al., arXiv 1712.00409, and Figueroa et al., BMC Medical Informatics
12:8, 2012. One law alone is too confident and several together are better: Mahmood et al., arXiv
2207.01725; Viering and Loog, arXiv 2103.10948. How often these forecasts were right is measured in
reports/forecast.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEAST_COUNTS = 3  # distinct numbers of labels that a forecast needs
REACH = 16  # times the largest measured number of labels; there is no answer beyond


class Curve(NamedTuple):
    """The measurements of one method with one preset on one data set.

    counts: labels per class, rising [m]. means: mean accuracies [m]. trials: their number at each
    count. noise: the covariance of the means [m, m]. end: labels per class up to which the preset
    is the default, or None if it does not change.
    """

    data: str
    label: str
    counts: np.ndarray
    means: np.ndarray
    trials: list[int]
    noise: np.ndarray
    remarks: list[str]
    end: float | None = None

    def first(self, m: int) -> Curve:
        """Return the curve with only its first m numbers of labels."""
        return self._replace(
            counts=self.counts[:m],
            means=self.means[:m],
            trials=self.trials[:m],
            noise=self.noise[:m, :m],
        )


def limit(curve: Curve) -> float:
    """Return the labels per class beyond which there is no answer.

    It is REACH times the largest measured number, or where the default preset changes: the curve
    says nothing about another training.
    """
    reach = float(curve.counts[-1] * REACH)
    return reach if curve.end is None else min(reach, curve.end)


EXPONENTS = np.geomspace(0.05, 2, 24)  # c; smaller ones are a logarithm, larger ones a step
STRAYS = (0.004, 0.008, 0.016)  # step of the random walk, in accuracy per doubling
MOST_LOG_ODDS = 7.0  # of the ceiling: an accuracy of 0.999
SURE = 0.01  # accuracy by which a law misses the last count when it loses its weight
PER_CELL, SAMPLES = 150, 4000


class Law(NamedTuple):
    """Samples of the parameters of one law given a curve.

    samples [s, 4]: value at the first count, ceiling, exponent, step of the random walk.
    """

    curve: Curve
    of_log_odds: bool
    samples: np.ndarray

    def paths(self, counts: np.ndarray) -> np.ndarray:
        """Return accuracies [s, n] at n numbers of labels: a curve with random walk per sample."""
        measured, slopes = _scaled(self.curve, self.of_log_odds)
        x, far = np.log2(self.curve.counts), np.log2(counts)
        first, ceiling, exponent, stray = self.samples.T[..., None]
        inside = _rest(self.curve.counts, self.curve, exponent)
        outside = _rest(counts, self.curve, exponent)
        values = ceiling + (first - ceiling) * outside
        missed = measured - (ceiling + (first - ceiling) * inside)
        off = np.random.default_rng(1).standard_normal((len(self.samples), 1))
        slopes_far = np.interp(far, x, slopes)
        for step in STRAYS:
            rows = stray[:, 0] == step
            noise = self.curve.noise * np.outer(slopes, slopes)
            inverse = np.linalg.inv(noise + step**2 * _walk(x, x, x[0]) * np.outer(slopes, slopes))
            across = step**2 * _walk(far, x, x[0]) * np.outer(slopes_far, slopes)
            explained = ((across @ inverse) * across).sum(1)
            left = step**2 * _walk(far, far, x[0]).diagonal() * slopes_far**2 - explained
            walk = off[rows] * np.sqrt(np.maximum(left, 0))
            values[rows] += missed[rows] @ (across @ inverse).T + walk
        return 1 / (1 + np.exp(-values)) if self.of_log_odds else values.clip(0, 1)

    def ceilings(self) -> np.ndarray:
        """Return the accuracy that each sample of the law approaches, without random walk [s]."""
        return 1 / (1 + np.exp(-self.samples[:, 1])) if self.of_log_odds else self.samples[:, 1]


def _scaled(curve: Curve, of_log_odds: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the means on the scale of the law, and the slope of that scale in the accuracy."""
    if not of_log_odds:
        return curve.means, np.ones(len(curve.means))
    inside = curve.means.clip(0.002, 0.998)
    return np.log(inside / (1 - inside)), 1 / (inside * (1 - inside))


def _rest(counts: np.ndarray, curve: Curve, exponent: np.ndarray | float) -> np.ndarray:
    """Return the remaining share of the way from the first count to the ceiling."""
    return (counts / curve.counts[0]) ** -exponent


def _walk(one: np.ndarray, other: np.ndarray, start: float) -> np.ndarray:
    """Return the covariance of a random walk from `start`, [len(one), len(other)]."""
    return np.minimum.outer(one, other) - start


def law_of(curve: Curve, of_log_odds: bool) -> Law | None:
    """Return samples of the parameters by their evidence, or None if no rising curve fits.

    The value at the first count and the ceiling have uniform priors, so that for each exponent and
    step of the random walk the posterior is Gaussian; it is cut to rising curves in range.
    """
    rng = np.random.default_rng(0)  # the same records give the same answer
    means, slopes = _scaled(curve, of_log_odds)
    x = np.log2(curve.counts)
    low, high = (-np.inf, MOST_LOG_ODDS) if of_log_odds else (0.0, 1.0)
    rest = _rest(curve.counts, curve, EXPONENTS[:, None])
    design = np.stack([rest, 1 - rest], axis=2)  # [c, m, 2]: linear in first value and ceiling
    cells, weights = [], []
    for stray in STRAYS:
        spread = (curve.noise + stray**2 * _walk(x, x, x[0])) * np.outer(slopes, slopes)
        inverse, size = np.linalg.inv(spread), np.linalg.slogdet(spread)[1]
        precision = design.mT @ inverse @ design
        best = np.linalg.solve(precision, design.mT @ (inverse @ means)[:, None])
        off = means - (design @ best)[..., 0]
        evidence = -0.5 * (((off @ inverse) * off).sum(1) + size + np.linalg.slogdet(precision)[1])
        root = np.linalg.cholesky(np.linalg.inv(precision))
        sampled = best.mT + rng.standard_normal((len(EXPONENTS), PER_CELL, 2)) @ root.mT
        first, last = sampled[..., 0], sampled[..., 1]
        valid = (first > low) & (last >= first) & (last <= high)
        exponents = np.broadcast_to(EXPONENTS[:, None], valid.shape)[valid]
        strays = np.full(len(exponents), stray)
        cells.append(np.column_stack([sampled[valid], exponents, strays]))
        weights.append(np.broadcast_to(evidence[:, None], valid.shape)[valid])
    rows, logs = np.concatenate(cells), np.concatenate(weights)
    if not len(rows):
        return None
    chances = np.exp(logs - logs.max())
    return Law(curve, of_log_odds, rows[rng.choice(len(rows), SAMPLES, p=chances / chances.sum())])


def fit(curve: Curve) -> list[Law]:
    """Return both laws, with more samples for the one that forecast the last count better.

    The curve must have LEAST_COUNTS numbers of labels or more. The list is empty if accuracy falls
    so that no rising curve fits.
    """
    laws = [law for kind in (False, True) if (law := law_of(curve, kind)) is not None]
    if len(laws) < 2 or len(curve.counts) == LEAST_COUNTS:
        return [law._replace(samples=law.samples[: SAMPLES // len(laws)]) for law in laws]
    before = [law_of(curve.first(len(curve.counts) - 1), law.of_log_odds) for law in laws]
    guesses = [np.inf if law is None else np.median(law.paths(curve.counts[-1:])) for law in before]
    trust = np.exp(-0.5 * ((np.array(guesses) - curve.means[-1]) / SURE) ** 2) + 1e-3
    shares = np.round(SAMPLES * trust / trust.sum()).astype(int)
    return [
        law._replace(samples=law.samples[:share]) for law, share in zip(laws, shares, strict=True)
    ]


class Band(NamedTuple):
    """Accuracy at rising numbers of labels per class [n]: median and 95% interval, monotone."""

    counts: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray

    def at(self, counts: Sequence[float]) -> np.ndarray:
        """Return low, middle and high, [3, k], at numbers of labels inside the band."""
        x = np.log(self.counts)
        sides = (self.low, self.middle, self.high)
        return np.array([np.interp(np.log(counts), x, side) for side in sides])


def band(laws: Sequence[Law], most: float) -> Band:
    """Return the expected accuracy from the fewest measured labels to `most` labels per class.

    The band never falls, on the assumption that more labels do not hurt.
    """
    counts = laws[0].curve.counts
    grid = np.union1d(counts, np.geomspace(counts[0], max(most, counts[-1]), 120))
    paths = np.concatenate([law.paths(grid) for law in laws])
    quantiles = np.quantile(paths, (0.025, 0.5, 0.975), axis=0)
    return Band(grid, *np.maximum.accumulate(quantiles, axis=1))


def ceiling(laws: Sequence[Law]) -> tuple[float, float]:
    """Return the 95% interval of the accuracy that the fitted curves approach."""
    low, high = np.quantile(np.concatenate([law.ceilings() for law in laws]), (0.025, 0.975))
    return float(low), float(high)
