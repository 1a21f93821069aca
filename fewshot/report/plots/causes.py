"""Draw accuracies that look for a cause: settings beside the report's numbers, or along an axis."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fewshot.report.plots import style

LONGEST_LABEL = 48  # characters; longer labels are wrapped
LINE, MARGIN = 0.17, 0.95  # inches: a line of a label, and everything but the labels
LINES = tuple(colour for colour in style.COLOURS if colour != style.ORANGE)  # it is the report's
TRIALS: dict[str, Any] = {"marker": "o", "markersize": 2.5, "linestyle": "none", "alpha": 0.6}
REPORTED: dict[str, Any] = {"marker": "D", "markerfacecolor": "none", "color": style.ORANGE}


class Point(NamedTuple):
    """The accuracy of a setting, mean and trials, and what the report states, all in percent."""

    mean: float
    trials: tuple[float, ...]
    reported: float | None


@style.styled
def beside(points: Mapping[str, Point], path: Path) -> list[Path]:
    """Write a dot for each setting, the first at the top, and a diamond for its reported number."""
    labels = [textwrap.fill(label, LONGEST_LABEL, break_on_hyphens=False) for label in points]
    heights = [LINE * (1.4 + label.count("\n")) for label in labels]
    figure, axes = style.new(MARGIN + sum(heights))
    tops = [sum(heights[number:]) - height / 2 for number, height in enumerate(heights)]
    measured = reported = None
    for row, point in zip(tops, points.values(), strict=True):
        axes.plot(point.trials, [row] * len(point.trials), color=style.BLUE, **TRIALS)
        (measured,) = axes.plot(point.mean, row, "o", color=style.BLUE)
        if point.reported is not None:
            (reported,) = axes.plot(point.reported, row, linestyle="none", **REPORTED)
    axes.set_yticks(tops, labels, fontsize=style.TICK)
    axes.set_ylim(0, sum(heights))
    axes.set_xlim(left=0)
    axes.set_xlabel("accuracy, %")
    axes.grid(False, axis="y")
    names = {"measured, mean (small: trials)": measured, "the report": reported}
    shown = {name: handle for name, handle in names.items() if handle is not None}
    figure.legend(list(shown.values()), list(shown), loc="outside upper right", ncols=2)
    return style.save(figure, path)


@style.styled
def along(
    lines: Mapping[str, Mapping[str, Point]], values: Sequence[str], setting: str, path: Path
) -> list[Path]:
    """Write accuracy along a setting, one line for each group of other settings.

    Args:
        lines: by the words for the other settings, the point at each value.
        values: all values in rising order; they stand at equal distances.
        setting: the setting in words.
        path: of the files, without the ending.
    """
    figure, axes = style.new(3.2, width=style.DOUBLE * 0.75)
    stated: dict[str, float] = {}
    for number, (label, points) in enumerate(lines.items()):
        shift = 0.07 * (number - (len(lines) - 1) / 2)  # so that trials do not cover each other
        colour = LINES[number % len(LINES)]
        places = [values.index(value) + shift for value in points]
        for place, point in zip(places, points.values(), strict=True):
            axes.plot([place] * len(point.trials), point.trials, color=colour, **TRIALS)
        means = [point.mean for point in points.values()]
        axes.plot(
            places,
            means,
            marker=style.MARKERS[number % len(style.MARKERS)],
            color=colour,
            label=label,
        )
        stated |= {
            value: point.reported for value, point in points.items() if point.reported is not None
        }
    if stated:
        places = [values.index(value) for value in stated]
        axes.plot(places, list(stated.values()), linestyle=":", label="the report", **REPORTED)
    axes.set_xticks(range(len(values)), values)
    axes.set_xlabel(setting)
    axes.set_ylabel("accuracy, %")
    if len(lines) > 1 or stated:
        figure.legend(loc="outside upper center", ncols=2)
    return style.save(figure, path)
