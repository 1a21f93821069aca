"""Write the tables of reports/forecast.md: forecasts of learning curves against what was measured.

The larger numbers of labels of published curves are hidden, forecast from the smaller ones, and
compared.

    python -m scripts.forecast           # write the tables; this fits about 80 curves
    python -m scripts.forecast --check   # exit with an error if one is stale
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit

from fewshot.evaluation import learning_curve_model as model
from fewshot.evaluation.learning_curve_model import Curve
from fewshot.report.forecasting import learning_curve
from fewshot.report.forecasting.answer import Needed, Point, crossings
from fewshot.report.formatting import markdown_table
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord
from scripts import pages
from scripts.pages import RECORDS, ROOT

PAGE = ROOT / "reports" / "forecast.md"
LEAST_SHOWN = 4  # labels per class
DISTANCES = (2, 4, 8, 16)
BEYOND = 1e9  # in place of a forecast without a number, which is above the limit


class Case(NamedTuple):
    """One hidden point of a curve, and its forecasts.

    distance: its number of labels over the largest shown one. alternatives: the forecasts of
    ALTERNATIVES. needed: the labels forecast for the measured accuracy. single: the forecasts of
    each law alone.
    """

    curve: Curve
    distance: float
    measured: float
    point: Point
    alternatives: tuple[float, ...]
    needed: Needed
    single: tuple[Point, ...]

    @property
    def name(self) -> tuple[str, str]:
        return self.curve.data, self.curve.label

    @property
    def needed_covers(self) -> bool:
        """Whether the interval for the needed labels contains the true number."""
        low, _, high = self.needed
        labels = self.point.labels
        return low is not None and low <= labels and (high is None or labels <= high)

    def covers(self, point: Point) -> bool:
        return point.low <= self.measured <= point.high


Groups = Sequence[tuple[str, Sequence[Case]]]


def last_value(shown: Curve, counts: np.ndarray) -> np.ndarray:
    return np.full(len(counts), shown.means[-1])


def straight_line(shown: Curve, counts: np.ndarray) -> np.ndarray:
    """Extend accuracy against log n through the last two doublings."""
    near = shown.counts >= min(shown.counts[-1] / 4, shown.counts[-2])
    line = np.polyfit(np.log(shown.counts[near]), shown.means[near], 1)
    return np.polyval(line, np.log(counts)).clip(0, 1)


def power_law(shown: Curve, counts: np.ndarray) -> np.ndarray:
    """Fit a - b n^-c by weighted least squares, with a at most 1, b and c positive."""
    return _least_squares(lambda n, a, b, c: a - b * n**-c, shown, counts)


def exponential(shown: Curve, counts: np.ndarray) -> np.ndarray:
    """Fit a - b exp(-c n) by weighted least squares, with a at most 1, b and c positive."""
    return _least_squares(lambda n, a, b, c: a - b * np.exp(-c * n), shown, counts)


def _least_squares(law: Callable[..., np.ndarray], shown: Curve, counts: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings(action="ignore", category=OptimizeWarning):
        parameters, _ = curve_fit(
            law,
            shown.counts,
            shown.means,
            (0.8, 0.5, 0.2),
            np.sqrt(shown.noise.diagonal()),
            bounds=(0, (1, np.inf, np.inf)),
            max_nfev=10000,
        )
    return law(counts, *parameters)


ALTERNATIVES = {
    "last value": last_value,
    "straight line": straight_line,
    "one power law": power_law,
    "exponential": exponential,
}


def read() -> list[RunRecord]:
    """Return the published records with several numbers of labels."""
    rows = []
    for name in ("learners", "forecast"):
        rows += [record for _, record in records.load([RECORDS / name])]
    return rows


def cases() -> Iterator[Case]:
    """Yield all hidden points of every curve, cut after each of its counts from the third on."""
    for curve in learning_curve.gather(read()):
        for m in range(model.LEAST_COUNTS, len(curve.counts)):
            if curve.counts[m - 1] >= LEAST_SHOWN:
                yield from _hidden(curve.first(m), curve.counts[m:], curve.means[m:])


def across() -> Iterator[Case]:
    """Yield what `fewshot forecast` refuses: points with preset full, from curves with few."""
    methods: dict[tuple[str, ...], dict[str, list[RunRecord]]] = {}
    for record in read():
        key = record.data, record.method, record.backbone, record.weights
        methods.setdefault(key, {}).setdefault(record.preset, []).append(record)
    for by_preset in methods.values():
        if "few" not in by_preset or "full" not in by_preset:
            continue
        # With one label, fine-tuning is not trained: a curve of one point.
        few, full = (
            max(learning_curve.gather(by_preset[preset]), key=lambda curve: len(curve.counts))
            for preset in ("few", "full")
        )
        for m in range(model.LEAST_COUNTS, len(few.counts) + 1):
            if few.counts[m - 1] >= LEAST_SHOWN:
                yield from _hidden(few.first(m), full.counts, full.means)


def _hidden(shown: Curve, counts: np.ndarray, means: np.ndarray) -> Iterator[Case]:
    """Yield the points at these numbers of labels, as far as a forecast reaches."""
    last = shown.counts[-1]
    limit = last * model.REACH
    hidden = counts[counts <= limit]
    if not len(hidden):
        return
    guesses = np.array([forecast(shown, hidden) for forecast in ALTERNATIVES.values()]).T
    band = model.band(model.fit(shown), limit)
    laws = [law for kind in (False, True) if (law := model.law_of(shown, kind))]
    single = [model.band([law], limit) for law in laws]
    for n, measured, alternatives in zip(hidden, means, guesses, strict=False):
        yield Case(
            curve=shown,
            distance=n / last,
            measured=measured,
            point=Point(n, *band.at([n])[:, 0]),
            alternatives=tuple(alternatives),
            needed=crossings(band, measured, limit),
            single=tuple(Point(n, *one.at([n])[:, 0]) for one in single),
        )


def _guesses(case: Case) -> np.ndarray:
    """Return the forecast and those of the alternatives."""
    return np.array([case.point.accuracy, *case.alternatives])


def _errors(head: str, groups: Groups) -> str:
    """Return for each group mean absolute errors, bias, coverage and width, in points."""
    rows = []
    for label, group in groups:
        guesses = np.array([_guesses(case) for case in group])
        off = 100 * (guesses - np.array([[case.measured] for case in group]))
        errors = [f"{error:.2f}" for error in np.abs(off).mean(0)]
        width = 100 * np.mean([case.point.high - case.point.low for case in group])
        inside = 100 * np.mean([case.covers(case.point) for case in group])
        curves = len({case.name for case in group})
        bias = f"{off[:, 0].mean():+.2f}"
        rows.append([label, len(group), curves, *errors, bias, f"{inside:.0f}%", f"{width:.1f}"])
    names = [f"error, {name}" for name in ("forecast", *ALTERNATIVES)]
    return markdown_table([head, "n", "curves", *names, "bias", "inside 95%", "width"], rows)


def _by_distance(every: Sequence[Case]) -> list[tuple[str, list[Case]]]:
    groups = []
    for low, high in zip((1, *DISTANCES), DISTANCES, strict=False):
        label = f"{low} to {high} times" if low > 1 else f"up to {high} times"
        groups.append((label, [case for case in every if low < case.distance <= high * 1.01]))
    return [*groups, ("all", list(every))]


def _by_curve(every: Sequence[Case]) -> list[tuple[str, list[Case]]]:
    groups = []
    for name in sorted({case.name for case in every}):
        groups.append((", ".join(name), [case for case in every if case.name == name]))
    return groups


def _labels(groups: Groups) -> str:
    """Return how the forecast number of labels compares with the true one."""
    rows = []
    for label, group in groups:
        ratios = _ratios(group)
        low, middle, high = map(_ratio, np.quantile(ratios, (0.25, 0.5, 0.75)))
        inside = f"{100 * np.mean([case.needed_covers for case in group]):.0f}%"
        n_numbers = sum(ratio < BEYOND for ratio in ratios)
        rows.append([label, len(group), n_numbers, inside, middle, f"{low} to {high}"])
    columns = ["true number of labels", "n", "with a number", "inside its 95% interval"]
    return markdown_table([*columns, "forecast / true, median", "middle half"], rows)


def _ratios(group: Sequence[Case]) -> list[float]:
    """Return forecast through true numbers of labels; BEYOND where the forecast has no number."""
    return [
        BEYOND if case.needed.labels is None else case.needed.labels / case.point.labels
        for case in group
    ]


def _ratio(value: float) -> str:
    return "beyond the limit" if value > BEYOND / 10 else f"{value:.2f}"


def _laws(groups: Groups) -> str:
    """Return mean absolute error and coverage of both laws together and of each alone."""
    rows = []
    for label, group in groups:
        cells = []
        for points in zip(*[(case.point, *case.single) for case in group], strict=True):
            pairs = list(zip(group, points, strict=True))
            error = 100 * np.mean([abs(point.accuracy - case.measured) for case, point in pairs])
            inside = 100 * np.mean([case.covers(point) for case, point in pairs])
            cells += [f"{error:.2f}", f"{inside:.0f}%"]
        rows.append([label, *cells])
    columns = ["labels, relative to the largest number shown"]
    for name in ("both laws", "accuracy alone", "log-odds alone"):
        columns += [f"{name}: error", "inside 95%"]
    return markdown_table(columns, rows)


def _findings(distances: Groups) -> str:
    """Return what the tables of distances and labels show, as a list."""
    errors = {
        label: np.mean([np.abs(_guesses(case) - case.measured) for case in group], 0) * 100
        for label, group in distances
    }
    *by_distance, (_, every) = distances
    first, last = by_distance[0][0], by_distance[-1][0]
    better = sum(errors[label][0] < errors[label][1:].min() for label, _ in by_distance)
    inside = np.mean([case.covers(case.point) for case in every])
    middle = float(np.median(_ratios(by_distance[-1][1])))
    size = "small" if middle < 1 else "large"
    where = (
        "at every distance"
        if better == len(by_distance)
        else (f"at {better} of {len(by_distance)} distances")
    )
    return "\n".join(
        [
            f"- {first.capitalize()} the largest measured number of labels, the forecast is wrong "
            f"by {errors[first][0]:.1f} points on average, and at {last} by {errors[last][0]:.1f} "
            f"points. It is better than each of the four simple alternatives {where}.",
            f"- The 95% intervals contain {100 * inside:.0f}% of the hidden accuracies. They are "
            "wide, because few points say little about the ceiling of a curve.",
            f"- Far beyond the measurements, the forecast number of labels is too {size}: at "
            f"{last}, its median is {_ratio(middle)} of the true number.",
        ]
    )


def tables() -> dict[str, str]:
    same, refused = list(cases()), list(across())
    chosen_on = [case for case in same if case.curve.data == "cifar10"]
    new = [case for case in same if case.curve.data != "cifar10"]
    distances = _by_distance(same)
    return {
        "findings": _findings(distances),
        "distance": _errors("labels, relative to the largest number shown", distances),
        "data": _errors("data", [("cifar10", chosen_on), ("digits and imagenette160", new)]),
        "curves": _errors("curve", _by_curve(same)),
        "preset": _errors("curve", [*_by_curve(refused), ("all", refused)]),
        "laws": _laws(distances),
        "labels": _labels(distances),
    }


if __name__ == "__main__":
    pages.update([PAGE], tables, "scripts.forecast")
