"""Learning curves with a known law, for the tests of forecasts."""

from __future__ import annotations

import numpy as np

from fewshot.evaluation.learning_curve_model import Curve
from fewshot.report.forecasting import learning_curve
from fewshot.runs.run_record import RunRecord
from tests.fewshot.report.handmade import record

SHOTS = (1, 2, 4, 8, 16, 32, 64)


def at(shots: int, values: tuple[float, ...], method: str = "probe", **more) -> RunRecord:
    """Return a record of two classes with this many labels per class."""
    return record(method, values, shots=shots, labels=2 * shots, run_id=f"{method}-{shots}", **more)


def law(
    a: float, b: float, c: float, shots=SHOTS, trials: int = 5, noise: float = 0.001, seed: int = 0
) -> list[RunRecord]:
    """Return records of the law a - b n^-c.

    The errors of a seed fall as n^-0.5, and those at n and 2n labels have a correlation of 0.6, as
    in nested subsets.
    """
    rng = np.random.default_rng(seed)
    result, error = [], rng.standard_normal(trials)
    for place, n in enumerate(shots):
        if place:
            alike = 0.6 ** np.log2(n / shots[place - 1])
            error = alike * error + np.sqrt(1 - alike**2) * rng.standard_normal(trials)
        result.append(
            at(n, tuple(float(value) for value in a - b * n**-c + noise * n**-0.5 * error))
        )
    return result


def curve(records: list[RunRecord]) -> Curve:
    (result,) = learning_curve.gather(records)
    return result
