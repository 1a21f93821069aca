"""What was measured of a method at several numbers of labels: means, and how their errors hang together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fewshot.report.plots import accuracy_curves as curves
from fewshot.runs.records import Record

SPREAD, SPREAD_SLOPE = (
    0.04,
    -0.5,
)  # of draws: 0.04 n^-0.5 is near our records', and the start for others'
SPREAD_SLOPE_SD = 0.15
LEAST_SPREAD = 0.002  # equal draws happen
TOGETHER = (
    0.6  # correlation of a seed's errors at n and 2n labels in our records: its subsets are nested
)


class Curve(NamedTuple):
    """What was measured of one method: labels a class, rising [m], mean accuracies [m], their covariance [m, m]."""

    data: str
    label: str
    counts: np.ndarray
    means: np.ndarray
    draws: list[int]
    noise: np.ndarray
    remarks: list[str]

    def first(self, m: int) -> Curve:
        """The curve as it was when only its first m numbers of labels were measured."""
        return self._replace(
            counts=self.counts[:m],
            means=self.means[:m],
            draws=self.draws[:m],
            noise=self.noise[:m, :m],
        )


def gather(found: Sequence[Record]) -> list[Curve]:
    """A curve for each data set and method among the low-data records, methods told apart as in the figures.

    Of several records of one method at one number of labels the one with most draws counts.
    """
    groups: dict[tuple[str, str, str], dict[float, list[Record]]] = {}
    for record in sorted(found, key=lambda each: (-len(each["seeds"]), each["run_id"])):
        if record["regime"] == "low-data":
            key = record["provenance"]["data_fingerprint"], record["data"], curves.label_of(record)
            groups.setdefault(key, {}).setdefault(
                record["labels"] / len(record["classes"]), []
            ).append(record)
    return [_curve(data, label, by_count) for (_, data, label), by_count in sorted(groups.items())]


def _curve(data: str, label: str, by_count: dict[float, list[Record]]) -> Curve:
    counts = sorted(by_count)
    used = [by_count[count][0] for count in counts]
    accuracies = [
        dict(zip(each["seeds"], each["scores"]["accuracy"]["values"], strict=True)) for each in used
    ]
    remarks = []
    many = [
        count
        for count in counts
        if len({each["scores"]["accuracy"]["mean"] for each in by_count[count]}) > 1
    ]
    if many:
        remarks.append(
            f"of several records at {', '.join(f'{n:g}' for n in many)} the one with most draws counts"
        )
    for before, after, count in zip(used, used[1:], counts[1:], strict=False):
        if before["preset"] != after["preset"]:
            remarks.append(f"preset {after['preset']}, not {before['preset']}, from {count:g} on")
    if not any(len(each) > 1 for each in accuracies):
        remarks.append("one draw everywhere, so its spread is assumed")
    means = np.array([each["scores"]["accuracy"]["mean"] for each in used])
    noise = _noise(np.log(counts), accuracies)
    return Curve(
        data, label, np.array(counts), means, [len(each) for each in accuracies], noise, remarks
    )


def _noise(x: np.ndarray, accuracies: Sequence[dict[int, float]]) -> np.ndarray:
    """Covariance of the means at log counts x [m, m]: a spread of draws that is a power of n, and seeds in common.

    Where a bootstrap over seeds would say nothing of one draw and too little of three, all counts share two numbers.
    """
    known = [place for place, each in enumerate(accuracies) if len(each) > 1]
    spread = np.array(
        [max(float(np.std(list(accuracies[k].values()), ddof=1)), LEAST_SPREAD) for k in known]
    )
    freedom = np.array([len(accuracies[place]) - 1.0 for place in known])
    # the log of a sample's deviation: about 1 / (2 freedom) too low in the mean, and that is its variance too
    design = np.stack([np.ones(len(known)), x[known]], axis=1)
    weighted = design * (2 * freedom)[:, None]
    belief = np.diag([1e-3, SPREAD_SLOPE_SD**-2])
    wanted = weighted.T @ (np.log(spread) + 0.5 / freedom) + belief @ [np.log(SPREAD), SPREAD_SLOPE]
    level, slope = np.linalg.solve(design.T @ weighted + belief, wanted)
    sd = np.exp(level + slope * x)
    shared = [
        [len(one.keys() & other.keys()) / len(one) / len(other) for other in accuracies]
        for one in accuracies
    ]
    return (
        np.outer(sd, sd)
        * TOGETHER ** (np.abs(np.subtract.outer(x, x)) / np.log(2))
        * np.array(shared)
    )
