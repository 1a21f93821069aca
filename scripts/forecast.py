"""Puts the tables of reports/forecast.md into it: learning curves of committed records, their larger counts hidden,
forecast from the rest and compared with what was measured; `--check` only says whether the tables are there.

python -m scripts.forecast [--check]
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit

from fewshot.report.forecasting import answer as needs
from fewshot.report.forecasting import learning_curve
from fewshot.report.forecasting import model as forecast
from fewshot.report.forecasting.learning_curve import Curve
from fewshot.runs import records
from scripts import pages

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "reports" / "forecast.md"
LEAST_SHOWN = 4  # labels a class
DISTANCES = (2, 4, 8, 16)


class Case(NamedTuple):
    """A hidden count of a curve: how far it lies from what was shown, its accuracy, and what was said of it."""

    curve: Curve
    distance: float
    measured: float
    point: needs.Point
    baselines: tuple[float, ...]
    other_preset: bool
    needed: needs.Needed
    alone: tuple[
        needs.Point, ...
    ]  # of the law of the accuracy, and of that of its log-odds, without the other

    def covered(self, point: needs.Point) -> bool:
        return point.low <= self.measured <= point.high

    @property
    def found(self) -> bool:
        """Whether the labels that the measured accuracy needed lie in the interval given for them."""
        low, _, high = self.needed
        return (
            low is not None
            and low <= self.point.labels
            and (high is None or self.point.labels <= high)
        )


def last_value(shown: Curve, counts: np.ndarray) -> np.ndarray:
    return np.full(len(counts), shown.means[-1])


def straight_line(shown: Curve, counts: np.ndarray) -> np.ndarray:
    """Of accuracy against log n, through the last two doublings."""
    near = shown.counts >= min(shown.counts[-1] / 4, shown.counts[-2])
    return np.polyval(
        np.polyfit(np.log(shown.counts[near]), shown.means[near], 1), np.log(counts)
    ).clip(0, 1)


def power_law(shown: Curve, counts: np.ndarray) -> np.ndarray:
    """a - b n^-c by weighted least squares, a up to 1, b and c positive."""
    return _least_squares(lambda n, a, b, c: a - b * n**-c, shown, counts)


def _least_squares(law: Callable[..., np.ndarray], shown: Curve, counts: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings(action="ignore", category=OptimizeWarning):
        found, _ = curve_fit(
            law, shown.counts, shown.means, (0.8, 0.5, 0.2), np.sqrt(shown.noise.diagonal()),
            bounds=(0, (1, np.inf, np.inf)), max_nfev=10000,
        )  # fmt: skip
    return law(counts, *found)


def exponential(shown: Curve, counts: np.ndarray) -> np.ndarray:
    """a - b exp(-c n) by weighted least squares, a up to 1, b and c positive."""
    return _least_squares(lambda n, a, b, c: a - b * np.exp(-c * n), shown, counts)


BASELINES = {
    "last value": last_value, "straight line": straight_line, "one power law": power_law, "exponential": exponential,
}  # fmt: skip


def cases() -> Iterator[Case]:
    """Every curve cut after each of its counts from the third, LEAST_SHOWN labels or more, and all counts beyond."""
    found = [
        each
        for name in ("learners", "forecast")
        for _, each in records.find([ROOT / "reports/records" / name])
    ]
    full = {
        (each["method"], each["labels"] / len(each["classes"]))
        for each in found
        if each["preset"] == "full"
    }
    for curve in learning_curve.gather(found):
        method = curve.label.split()[0]
        for m in range(forecast.LEAST_COUNTS, len(curve.counts)):
            shown, hidden = curve.first(m), curve.counts[m:]
            if shown.counts[-1] < LEAST_SHOWN:
                continue
            hidden = hidden[hidden <= shown.counts[-1] * forecast.REACH]
            others = np.array([baseline(shown, hidden) for baseline in BASELINES.values()])
            band = forecast.band(forecast.fit(shown), limit := shown.counts[-1] * forecast.REACH)
            alone = [
                forecast.band([law], limit)
                for kind in (False, True)
                if (law := forecast.law_of(shown, kind))
            ]
            for n, measured, guesses in zip(hidden, curve.means[m:], others.T, strict=False):
                changes = (method, n) in full and (method, shown.counts[-1]) not in full
                point = needs.Point(n, *band.at([n])[:, 0])
                needed = needs.crossings(band, measured, limit)
                lone = tuple(needs.Point(n, *each.at([n])[:, 0]) for each in alone)
                yield Case(
                    curve,
                    n / shown.counts[-1],
                    measured,
                    point,
                    tuple(guesses),
                    changes,
                    needed,
                    lone,
                )


def _table(head: str, groups: Sequence[tuple[str, Sequence[Case]]]) -> str:
    """A row for each group: mean absolute errors, bias, coverage and width, in points of accuracy."""
    names = ["forecast", *BASELINES]
    rows = [
        f"| {head} | n | curves | {' | '.join(f'error, {name}' for name in names)} | bias | inside 95% | width |",
        f"|:--|{'--:|' * (len(names) + 5)}",
    ]
    for label, group in groups:
        guesses = np.array([[each.point.accuracy, *each.baselines] for each in group])
        off = 100 * (guesses - np.array([[each.measured] for each in group]))
        errors = [f"{each:.2f}" for each in np.abs(off).mean(0)]
        width = 100 * np.mean([each.point.high - each.point.low for each in group])
        inside = 100 * np.mean([each.covered(each.point) for each in group])
        cells = [
            label, len(group), len({(each.curve.data, each.curve.label) for each in group}), *errors,
            f"{off[:, 0].mean():+.2f}", f"{inside:.0f}%", f"{width:.1f}",
        ]  # fmt: skip
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def _by_distance(found: Sequence[Case]) -> list[tuple[str, list[Case]]]:
    edges = list(zip((1, *DISTANCES), DISTANCES, strict=False))
    groups = [
        (f"{a} to {b} times", [each for each in found if a < each.distance <= b * 1.01])
        for a, b in edges
    ]
    return [
        (label if a > 1 else "up to 2 times", group)
        for (a, _), (label, group) in zip(edges, groups, strict=True)
    ]


def _by_curve(found: Sequence[Case]) -> list[tuple[str, list[Case]]]:
    names = sorted({(each.curve.data, each.curve.label) for each in found})
    return [
        (
            f"{data}, {label}",
            [each for each in found if (each.curve.data, each.curve.label) == (data, label)],
        )
        for data, label in names
    ]


def _labels(groups: Sequence[tuple[str, Sequence[Case]]]) -> str:
    rows = [
        "| true number, beyond the most shown | n | number given | inside its 95% interval | given / true, median "
        "| middle half |",
        "|:--|--:|--:|--:|--:|--:|",
    ]
    for label, group in groups:
        given = [each for each in group if each.needed.labels is not None]
        low, middle, high = np.quantile(
            [each.needed.labels / each.point.labels for each in given], (0.25, 0.5, 0.75)
        )
        inside = 100 * np.mean([each.found for each in group])
        rows.append(
            f"| {label} | {len(group)} | {len(given)} | {inside:.0f}% | {middle:.2f} | {low:.2f} to {high:.2f} |"
        )
    return "\n".join(rows)


def _laws(groups: Sequence[tuple[str, Sequence[Case]]]) -> str:
    """Mean absolute error and coverage of both laws and of each alone."""
    names = ["both", "accuracy alone", "log-odds alone"]
    rows = [
        f"| beyond the most shown | {' | '.join(f'{name}: error | inside 95%' for name in names)} |",
        f"|:--|{'--:|' * (2 * len(names))}",
    ]
    for label, group in groups:
        cells = []
        for points in zip(*[(each.point, *each.alone) for each in group], strict=True):
            pairs = list(zip(group, points, strict=True))
            error = 100 * np.mean([abs(point.accuracy - each.measured) for each, point in pairs])
            cells += [
                f"{error:.2f}",
                f"{100 * np.mean([each.covered(point) for each, point in pairs]):.0f}%",
            ]
        rows.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(rows)


def tables() -> dict[str, str]:
    found = list(cases())
    same = [each for each in found if not each.other_preset]
    chosen_on = [each for each in same if each.curve.data == "cifar10"]
    new = [each for each in same if each.curve.data != "cifar10"]
    return {
        "distance": _table("beyond the most shown", [*_by_distance(same), ("all", same)]),
        "data": _table("data", [("cifar10", chosen_on), ("digits and imagenette160", new)]),
        "curves": _table("curve", _by_curve(same)),
        "preset": _table("curve", _by_curve([each for each in found if each.other_preset])),
        "laws": _laws([*_by_distance(same), ("all", same)]),
        "labels": _labels([*_by_distance(same), ("all", same)]),
    }


if __name__ == "__main__":
    wanted = pages.filled(PAGE.read_text(), tables())
    if "--check" in sys.argv:
        sys.exit(
            0
            if PAGE.read_text() == wanted
            else f"{PAGE.name} is stale: run python -m scripts.forecast"
        )
    PAGE.write_text(wanted)
