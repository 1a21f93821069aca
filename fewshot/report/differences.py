"""How sure a difference is: paired over common seeds, and corrected for the number of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fewshot.evaluation.statistics import summary
from fewshot.runs.records import Record

FEWEST = 3  # draws: below, nothing is said about which is better
SURE = 0.05


class Difference(NamedTuple):
    """Mean over n draws, half of its 95% interval and the p-value of 'no difference', None for fewer than two."""

    n: int
    mean: float
    half: float | None
    p: float | None

    def __str__(self) -> str:
        return f"{self.mean:+.4f}" + ("" if self.half is None else f" ± {self.half:.4f}")


def of(values: Sequence[float]) -> Difference:
    """Student's t of the mean of values against 0."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return Difference(n, values[0] if n else float("nan"), None, None)
    found = summary(values)
    error = found["std"] / n**0.5
    if error < 1e-12:  # the same difference in every draw, but for rounding
        return Difference(n, found["mean"], 0.0, float(abs(found["mean"]) < 1e-12))
    return Difference(
        n, found["mean"], found["ci95"], float(2 * t.sf(abs(found["mean"]) / error, n - 1))
    )


def paired(ours: Record, theirs: Record) -> Difference:
    """Test accuracy of one record minus another's, over the seeds that both have."""
    here, there = (
        dict(zip(each["seeds"], each["scores"]["accuracy"]["values"], strict=True))
        for each in (ours, theirs)
    )
    return of([here[seed] - there[seed] for seed in here if seed in there])


def holm(found: Sequence[float]) -> list[float]:
    """p-values corrected for their number, in the order given (Holm, A simple sequentially rejective multiple test
    procedure, 1979): below 0.05, the chance of one false finding or more among all of them is at most 5%.
    """
    corrected, least = [0.0] * len(found), 0.0
    for rank, place in enumerate(sorted(range(len(found)), key=lambda each: found[each])):
        least = max(least, min(1.0, (len(found) - rank) * found[place]))
        corrected[place] = least
    return corrected


def corrected(found: Sequence[Difference]) -> list[Difference]:
    """The differences with Holm's p-values; those of too few draws get none and are not counted."""
    ps = iter(holm([each.p for each in found if each.p is not None and each.n >= FEWEST]))
    return [
        each._replace(p=None if each.p is None or each.n < FEWEST else next(ps)) for each in found
    ]
