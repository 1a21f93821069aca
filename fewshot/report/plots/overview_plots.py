"""Draw figures about several studies: points of two quantities, and ranges over settings."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fewshot.report.plots import style

LONGEST_LABEL = 46  # characters beside a range; longer labels are wrapped


class Point(NamedTuple):
    """A point; points of one kind share a colour and a marker."""

    label: str
    x: float
    y: float
    kind: str


class Span(NamedTuple):
    """The accuracies of the settings of a row in percent, rising."""

    label: str
    values: list[float]


@style.styled
def scatter(
    points: Sequence[Point], labels: tuple[str, str], equal: bool, path: Path
) -> list[Path]:
    """Write points of two quantities.

    Args:
        points: in the order in which the legend lists their kinds.
        labels: of the horizontal and the vertical axis.
        equal: both axes have percent and a diagonal; otherwise the horizontal one is logarithmic.
        path: of the figure, without an ending.
    """
    figure, axes = style.new(5.4, width=5.2) if equal else style.new(3.8)
    for place, kind in enumerate(dict.fromkeys(point.kind for point in points)):
        some = [point for point in points if point.kind == kind]
        axes.plot(
            [point.x for point in some],
            [point.y for point in some],
            style.MARKERS[place],
            color=style.COLOURS[place],
            markersize=5.5,
            markerfacecolor="none",
            markeredgewidth=1.4,
            label=kind,
        )
    if equal:
        ends = [value for point in points for value in (point.x, point.y)]
        low, high = max(0.0, min(ends) - 4), min(100.0, max(ends) + 4)
        axes.plot([low, high], [low, high], color=style.GREY, linewidth=1)
        axes.annotate(
            "equal",
            (high, high),
            xytext=(-14, -5),
            textcoords="offset points",
            ha="right",
            fontsize=style.SMALL,
            color=style.GREY,
        )
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.set_aspect("equal")
    else:
        _seconds_axis(axes)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    figure.legend(loc="outside lower center", ncols=2)
    return style.save(figure, path)


def _seconds_axis(axes: object) -> None:
    """Make the horizontal axis logarithmic, with plain numbers."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xscale("log")  # type: ignore[attr-defined]
    axis = axes.xaxis  # type: ignore[attr-defined]
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))
    axis.set_minor_formatter(NullFormatter())


@style.styled
def spans(some: Sequence[Span], path: Path) -> list[Path]:
    """Write a horizontal line for each row, from its lowest to its highest accuracy."""
    labels = [textwrap.fill(one.label, LONGEST_LABEL, break_on_hyphens=False) for one in some]
    lines = [label.count("\n") + 1 for label in labels]
    figure, axes = style.new(0.8 + sum(0.1 + 0.13 * n for n in lines))
    height = 0.0
    places = []
    for n in lines:
        places.append(height - (n - 1) / 2)
        height -= n + 0.6
    for place, one in zip(places, some, strict=True):
        axes.hlines(place, one.values[0], one.values[-1], color=style.BLUE, linewidth=1.2)
        axes.plot(one.values, [place] * len(one.values), "|", color=style.BLUE, markersize=7)
    axes.set_yticks(places, labels, fontsize=style.SMALL)
    axes.set_ylim(height + 0.8, 1)
    axes.set_xlabel("accuracy, % (a mark for each setting)")
    axes.grid(False, axis="y")
    return style.save(figure, path)
