"""Intervals and paired comparisons of the values that trials gave. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

FEWEST_TRIALS = 3  # fewer trials do not decide which of two methods is better
SIGNIFICANCE = 0.05  # p-values below it count as a difference
NEGLIGIBLE = 1e-12  # differences below it are rounding


@dataclass(frozen=True)
class Score:
    """One metric over the trials of a run.

    Args:
        mean: mean of `values`.
        std: standard deviation with n - 1; None for a single trial.
        ci95: half width of the 95% interval of the mean (Student's t); None for a single trial.
        values: the metric of each trial, in the order of the record's seeds.
    """

    mean: float
    std: float | None
    ci95: float | None
    values: list[float]

    @property
    def n(self) -> int:
        """Number of trials."""
        return len(self.values)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Score:
        """Return the score that `to_json` described."""
        return cls(content["mean"], content["std"], content["ci95"], list(content["values"]))

    def to_json(self) -> dict[str, Any]:
        """Return the score as plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + ("" if self.ci95 is None else f" ± {self.ci95:.4f}")


def summary(values: Sequence[float]) -> Score:
    """Return mean, standard deviation and 95% interval of the values of independent trials."""
    n = len(values)
    if n == 1:
        return Score(values[0], None, None, list(values))
    from scipy.stats import t

    std = float(np.std(values, ddof=1))
    half = float(t.ppf(0.975, n - 1)) * std / n**0.5
    return Score(float(np.mean(values)), std, half, list(values))


class Difference(NamedTuple):
    """A mean difference over paired trials.

    Args:
        n: number of pairs.
        mean: mean difference; nan without pairs.
        half: half width of its 95% interval; None for fewer than two pairs.
        p: two-sided p-value of "there is no difference"; None for fewer than two pairs.
    """

    n: int
    mean: float
    half: float | None
    p: float | None

    def __str__(self) -> str:
        return f"{self.mean:+.4f}" + ("" if self.half is None else f" ± {self.half:.4f}")


def difference(values: Sequence[float]) -> Difference:
    """Test the mean of differences against 0 (Student's t)."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return Difference(n, values[0] if n else float("nan"), None, None)
    score = summary(values)
    assert score.std is not None
    error = score.std / n**0.5
    if error < NEGLIGIBLE:  # every pair has the same difference, except for rounding
        return Difference(n, score.mean, 0.0, float(abs(score.mean) < NEGLIGIBLE))
    p = float(2 * t.sf(abs(score.mean) / error, n - 1))
    return Difference(n, score.mean, score.ci95, p)


def paired_difference(
    ours: Mapping[int | None, float], theirs: Mapping[int | None, float]
) -> Difference:
    """Test `ours` minus `theirs` over the seeds that both have.

    Args:
        ours: seed -> value.
        theirs: seed -> value.
    """
    return difference([ours[seed] - theirs[seed] for seed in ours if seed in theirs])


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, in the order given.

    If each corrected value below 0.05 is called a finding, the chance of at least one false
    finding is at most 5%.

    Source: Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    corrected, least = [0.0] * len(p_values), 0.0
    rising = sorted(range(len(p_values)), key=lambda position: p_values[position])
    for rank, position in enumerate(rising):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = least
    return corrected


def holm_corrected(differences: Sequence[Difference]) -> list[Difference]:
    """Return the differences with Holm's p-values.

    Differences of fewer than FEWEST_TRIALS pairs get p = None and do not count as comparisons.
    """
    comparisons = [
        index
        for index, one in enumerate(differences)
        if one.p is not None and one.n >= FEWEST_TRIALS
    ]
    p_values = holm([differences[index].p or 0.0 for index in comparisons])
    by_index = dict(zip(comparisons, p_values, strict=True))
    return [one._replace(p=by_index.get(index)) for index, one in enumerate(differences)]
