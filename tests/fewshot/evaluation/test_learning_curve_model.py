"""Forecasts against curves drawn from a known law."""

from __future__ import annotations

import numpy as np
import pytest

from fewshot.evaluation import learning_curve_model as model
from tests.fewshot.report.forecasting.curves import SHOTS, at, curve, law


def covered(strays: tuple[float, ...], seed: int) -> bool:
    """Return whether a curve's accuracy at four times its labels lies in its interval.

    The curve is a random law, of the accuracy or of its log-odds, with a random walk around it.
    """
    rng = np.random.default_rng(seed)
    shots = SHOTS[: rng.integers(4, 8)]
    counts = np.array([*shots, 4 * shots[-1]])
    rest, ceiling, first = (
        counts ** -rng.uniform(0.25, 0.8),
        rng.uniform(0.6, 0.97),
        rng.uniform(0.15, 0.5),
    )
    if rng.random() < 0.5:
        truth = ceiling - (ceiling - first) * rest
    else:
        high, low = np.log(ceiling / (1 - ceiling)), np.log(first / (1 - first))
        truth = 1 / (1 + np.exp(-(high - (high - low) * rest)))
    steps = rng.standard_normal(len(shots)) * np.sqrt(np.diff(np.log2(counts))) * rng.choice(strays)
    truth[1:] += np.cumsum(steps)
    noise = [one.scores["accuracy"].values for one in law(0, 0, 1, shots, 5, 0.04, seed)]
    shown = curve(
        [
            at(n, tuple(mean + np.array(off)))
            for n, mean, off in zip(shots, truth, noise, strict=False)
        ]
    )
    paths = np.concatenate([law_of.paths(counts[-1:]) for law_of in model.fit(shown)])
    low, high = np.quantile(paths, (0.025, 0.975))
    return low <= truth[-1] <= high


@pytest.mark.parametrize(
    ("curves", "low"), [(60, 0.88), pytest.param(200, 0.91, marks=pytest.mark.slow)]
)
def test_the_95_percent_interval_covers_simulated_curves(curves: int, low: float) -> None:
    coverage = np.mean([covered(model.STRAYS, seed) for seed in range(curves)])
    assert low <= coverage <= 0.99


def test_the_interval_is_conservative_for_curves_that_follow_a_law() -> None:
    assert np.mean([covered((0.0,), seed) for seed in range(25)]) >= 0.95


def test_with_little_noise_the_band_goes_through_the_measurements() -> None:
    measured = curve(
        [at(n, (y,) * 9) for n, y in zip((1, 4, 16, 64), (0.3, 0.5, 0.55, 0.7), strict=True)]
    )
    _, middle, _ = model.band(model.fit(measured), 64).at(measured.counts)
    assert middle == pytest.approx(measured.means, abs=0.004)
