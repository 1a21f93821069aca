"""Accuracy at more labels than were measured, with a 95% interval, from the learning curve of one method.

Two laws of n labels a class, each a - b n^-c: of the accuracy, and of its log-odds. Around each a random walk over the
doublings of n, for how far real curves stray from any such law. Power laws: Hestness et al., arXiv 1712.00409, and
Figueroa et al., BMC Medical Informatics 12:8, 2012. That one law alone promises too much, and several serve better:
Mahmood et al., arXiv 2207.01725; Viering and Loog, arXiv 2103.10948. reports/forecast.md: how often this was right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fewshot.report.forecasting.learning_curve import Curve

LEAST_COUNTS = 3  # distinct numbers of labels that a forecast needs
REACH = 16  # times the most labels measured, and no answer beyond
EXPONENTS = np.geomspace(0.05, 2, 24)  # c; smaller ones are a logarithm, larger ones a step
STRAYS = (0.004, 0.008, 0.016)  # of accuracy a doubling: how far the random walk goes
MOST_LOG_ODDS = 7.0  # of the ceiling: an accuracy of 0.999
SURE = (
    0.01  # of accuracy: a law that misses the last count by so much more than the other loses to it
)
PER_CELL, SAMPLES = 150, 4000


class Law(NamedTuple):
    """Samples of one law's parameters given a curve [s, 4]: value at the first count, ceiling, exponent, stray."""

    curve: Curve
    of_log_odds: bool
    samples: np.ndarray

    def paths(self, counts: np.ndarray) -> np.ndarray:
        """Accuracies [s, n] at n numbers of labels: a curve for each sample, with its own straying."""
        measured, slopes = _scaled(self.curve, self.of_log_odds)
        x, far = np.log2(self.curve.counts), np.log2(counts)
        first, ceiling, exponent, stray = self.samples.T[..., None]
        inside, outside = (
            _rest(self.curve.counts, self.curve, exponent),
            _rest(counts, self.curve, exponent),
        )
        found = ceiling + (first - ceiling) * outside
        missed = measured - (ceiling + (first - ceiling) * inside)
        off = np.random.default_rng(1).standard_normal((len(self.samples), 1))
        slopes_far = np.interp(far, x, slopes)
        for each in STRAYS:
            rows = stray[:, 0] == each
            noise = self.curve.noise * np.outer(slopes, slopes)
            inverse = np.linalg.inv(noise + each**2 * _walk(x, x, x[0]) * np.outer(slopes, slopes))
            across = each**2 * _walk(far, x, x[0]) * np.outer(slopes_far, slopes)
            left = each**2 * _walk(far, far, x[0]).diagonal() * slopes_far**2 - (
                (across @ inverse) * across
            ).sum(1)
            found[rows] += missed[rows] @ (across @ inverse).T + off[rows] * np.sqrt(
                np.maximum(left, 0)
            )
        return 1 / (1 + np.exp(-found)) if self.of_log_odds else found.clip(0, 1)

    def ceilings(self) -> np.ndarray:
        """The accuracy that each sample of the law nears, without straying [s]."""
        return 1 / (1 + np.exp(-self.samples[:, 1])) if self.of_log_odds else self.samples[:, 1]


def _scaled(curve: Curve, of_log_odds: bool) -> tuple[np.ndarray, np.ndarray]:
    """The means on the law's scale, and how much that scale moves for a unit of accuracy there."""
    if not of_log_odds:
        return curve.means, np.ones(len(curve.means))
    inside = curve.means.clip(0.002, 0.998)
    return np.log(inside / (1 - inside)), 1 / (inside * (1 - inside))


def _rest(counts: np.ndarray, curve: Curve, exponent: np.ndarray | float) -> np.ndarray:
    """The share of the way from the first count to the ceiling that is still to go."""
    return (counts / curve.counts[0]) ** -exponent


def _walk(one: np.ndarray, other: np.ndarray, start: float) -> np.ndarray:
    """Covariance of a random walk from `start` on [len(one), len(other)]."""
    return np.minimum.outer(one, other) - start


def law_of(curve: Curve, of_log_odds: bool) -> Law | None:
    """Samples of the law's parameters, by their evidence; None where no rising curve with a ceiling fits."""
    rng = np.random.default_rng(0)  # the same records give the same answer
    means, slopes = _scaled(curve, of_log_odds)
    x = np.log2(curve.counts)
    low, high = (-np.inf, MOST_LOG_ODDS) if of_log_odds else (0.0, 1.0)
    rest = _rest(curve.counts, curve, EXPONENTS[:, None])
    design = np.stack(
        [rest, 1 - rest], axis=2
    )  # [c, m, 2]: linear in the first value and the ceiling, both uniform
    cells, weights = [], []
    for stray in STRAYS:
        spread = (curve.noise + stray**2 * _walk(x, x, x[0])) * np.outer(slopes, slopes)
        inverse, size = np.linalg.inv(spread), np.linalg.slogdet(spread)[1]
        precision = design.mT @ inverse @ design
        best = np.linalg.solve(precision, design.mT @ (inverse @ means)[:, None])
        off = means - (design @ best)[..., 0]
        evidence = -0.5 * (((off @ inverse) * off).sum(1) + size + np.linalg.slogdet(precision)[1])
        root = np.linalg.cholesky(np.linalg.inv(precision))
        drawn = best.mT + rng.standard_normal((len(EXPONENTS), PER_CELL, 2)) @ root.mT
        first, last = drawn[..., 0], drawn[..., 1]
        kept = (first > low) & (last >= first) & (last <= high)
        exponents = np.broadcast_to(EXPONENTS[:, None], kept.shape)[kept]
        cells.append(np.column_stack([drawn[kept], exponents, np.full(len(exponents), stray)]))
        weights.append(np.broadcast_to(evidence[:, None], kept.shape)[kept])
    rows, logs = np.concatenate(cells), np.concatenate(weights)
    if not len(rows):
        return None
    chances = np.exp(logs - logs.max())
    return Law(curve, of_log_odds, rows[rng.choice(len(rows), SAMPLES, p=chances / chances.sum())])


def fit(curve: Curve) -> list[Law]:
    """Both laws, each with as many samples as its forecast of the last count from those before deserves.

    The curve has LEAST_COUNTS numbers of labels or more. Empty where accuracy falls so that no rising curve fits.
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
    """Accuracy at rising numbers of labels a class [n]: the median and a 95% interval, none of which ever falls."""

    counts: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray

    def at(self, counts: Sequence[float]) -> np.ndarray:
        """Low, middle and high [3, k] at numbers of labels inside the band."""
        x = np.log(self.counts)
        return np.array(
            [np.interp(np.log(counts), x, each) for each in (self.low, self.middle, self.high)]
        )


def band(laws: Sequence[Law], most: float) -> Band:
    """The accuracy expected from the fewest labels measured to `most`. More labels are not believed to hurt."""
    counts = laws[0].curve.counts
    finely = np.union1d(counts, np.geomspace(counts[0], max(most, counts[-1]), 120))
    paths = np.concatenate([law.paths(finely) for law in laws])
    return Band(
        finely, *np.maximum.accumulate(np.quantile(paths, (0.025, 0.5, 0.975), axis=0), axis=1)
    )


def ceiling(laws: Sequence[Law]) -> tuple[float, float]:
    """The accuracy that the fitted curves near: the two ends of its 95% interval."""
    low, high = np.quantile(np.concatenate([law.ceilings() for law in laws]), (0.025, 0.975))
    return float(low), float(high)
