"""Draw accuracy by the values of settings: box plots of trials, and heat maps of means."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot.report.plots import style

FEWEST_IN_BOX = 5  # fewer trials have no quartiles worth a box: points and their median
MOST_POINTS = 40  # of a box; more would hide it
LONGEST_VALUE = 22  # characters of a value beside a panel; longer values are wrapped
LONGEST_TITLES = {1: 60, 2: 42, 3: 26}  # characters above one of so many panels in a row
LINE = 0.13  # inches of a line of text


class Boxes(NamedTuple):
    """Accuracies in percent by the value of one setting."""

    title: str
    setting: str
    values: Mapping[str, Sequence[float]]


class Heat(NamedTuple):
    """Mean accuracies in percent of a panel, [rows, columns]; NaN where nothing was measured."""

    title: str
    means: np.ndarray


class Scale(NamedTuple):
    """The settings along one side of a heat map, in words, and their values."""

    setting: str
    values: Sequence[str]


@style.styled
def boxes(panels: Sequence[Boxes], path: Path) -> list[Path]:
    """Write horizontal box plots with the trials as points; panels of one setting share its axis.

    Values with fewer than 5 trials have points and their median, and no box.
    """
    titles = {panel.title for panel in panels}
    common = titles.pop() if len(titles) == 1 and len(panels) > 1 else ""
    panels = [panel._replace(title="") for panel in panels] if common else panels
    shared = len({panel.setting for panel in panels}) == 1
    every = list(dict.fromkeys(value for panel in panels for value in panel.values))
    shown = [every if shared else list(panel.values) for panel in panels]
    columns = _columns(len(panels)) if shared else min(len(panels), 2)
    inches = [_height(columns, *pair) for pair in zip(panels, shown, strict=True)]
    heights = [max(inches[start : start + columns]) for start in range(0, len(inches), columns)]
    figure = style.blank(
        0.3 + LINE * len(common) / 50 + sum(heights),
        style.SINGLE if len(panels) == 1 else style.DOUBLE,
    )
    grid = figure.subplots(
        len(heights), columns, squeeze=False, sharex=True, sharey=shared, height_ratios=heights
    )
    for axes, panel, values in zip(grid.flat, panels, shown, strict=False):
        for row, value in enumerate(values):
            if value in panel.values:
                _box(axes, row, panel.values[value])
        axes.set_yticks(range(len(values)), map(_wrapped, values))
        axes.set_ylim(len(values) - 0.4, -0.6)
        axes.set_title(_title(panel.title, columns), fontsize=style.TICK)
        axes.grid(False, axis="y")
        if not shared:
            axes.set_ylabel(panel.setting)
    if shared:
        figure.supylabel(panels[0].setting, fontsize=style.LABEL)
    for index in range(len(panels), grid.size):
        grid.flat[index - columns].tick_params(labelbottom=True)
        grid.flat[index].remove()
    figure.supxlabel("accuracy, %", fontsize=style.LABEL)
    if common:
        figure.suptitle(_title(common, 1), fontsize=style.TITLE)
    return style.save(figure, path)


def _height(columns: int, panel: Boxes, values: Sequence[str]) -> float:
    """Return the inches of a panel: its title, these values and the ticks below them."""
    lines = _title(panel.title, columns).count("\n") + 1
    return 0.3 + LINE * lines + sum(0.14 + LINE * (1 + _wrapped(one).count("\n")) for one in values)


def _wrapped(value: str) -> str:
    return textwrap.fill(value, LONGEST_VALUE, break_on_hyphens=False)


def _columns(n_panels: int) -> int:
    """Return how many panels stand in a row: three, but four are two rows of two."""
    return 2 if n_panels == 4 else min(n_panels, 3)


def _title(text: str, columns: int) -> str:
    return "\n".join(textwrap.fill(one, LONGEST_TITLES[columns]) for one in text.split("\n"))


def _box(axes: Any, row: int, accuracies: Sequence[float]) -> None:
    if len(accuracies) >= FEWEST_IN_BOX:
        plain = {"color": style.BLUE, "linewidth": 1}
        axes.boxplot(
            [accuracies],
            positions=[row],
            orientation="horizontal",
            widths=0.6,
            showfliers=len(accuracies) > MOST_POINTS,
            boxprops=plain,
            whiskerprops=plain,
            capprops=plain,
            medianprops={"color": style.ORANGE, "linewidth": 1.6},
            flierprops={"marker": ".", "markersize": 3, "markeredgecolor": style.GREY},
            manage_ticks=False,
        )
    else:
        middle = float(np.median(accuracies))
        axes.plot([middle, middle], [row - 0.3, row + 0.3], color=style.ORANGE, linewidth=1.6)
    if len(accuracies) <= MOST_POINTS:
        points = {"color": style.GREY, "markersize": 3.5, "alpha": 0.8}
        axes.plot(accuracies, [row] * len(accuracies), ".", **points)


@style.styled
def heat_maps(panels: Sequence[Heat], x: Scale, y: Scale, path: Path) -> list[Path]:
    """Write heat maps of mean accuracies with the numbers in their cells, on one colour scale."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    columns = _columns(len(panels))
    rows = -(-len(panels) // columns)
    width = style.SINGLE if len(panels) == 1 else style.DOUBLE
    titles = max(_title(panel.title, columns).count("\n") + 1 for panel in panels)
    figure = style.blank(0.5 + rows * (0.25 + LINE * titles + 0.26 * len(y.values)), width)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    every = np.concatenate([panel.means.ravel() for panel in panels])
    colours = colormaps[style.SEQUENTIAL].with_extremes(bad="0.85")
    norm = Normalize(np.nanmin(every), max(np.nanmax(every), np.nanmin(every) + 1))
    for axes, panel in zip(grid.flat, panels, strict=False):
        mesh = axes.pcolormesh(
            np.ma.masked_invalid(panel.means), cmap=colours, norm=norm, edgecolor="0.9", linewidth=1
        )
        for (row, column), mean in np.ndenumerate(panel.means):
            if not np.isnan(mean):
                ink = style.ink_on(colours(norm(mean)))
                place = (column + 0.5, row + 0.5)
                axes.annotate(
                    f"{mean:.1f}", place, ha="center", va="center", color=ink, fontsize=style.TICK
                )
        axes.set_xticks(np.arange(len(x.values)) + 0.5, x.values)
        axes.set_yticks(np.arange(len(y.values)) + 0.5, y.values)
        axes.set_ylim(len(y.values), 0)
        axes.tick_params(length=0)
        axes.set_title(_title(panel.title, columns), fontsize=style.TICK)
        axes.grid(False)
        axes.spines[:].set_visible(False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    figure.supxlabel(x.setting, fontsize=style.LABEL)
    figure.supylabel(y.setting, fontsize=style.LABEL)
    figure.colorbar(mesh, ax=grid, label="mean accuracy, %", fraction=0.04, pad=0.01)
    return style.save(figure, path)
