"""Draw accuracies over many tasks: box plots of single tasks, and means against the shots."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot.report.plots import style

LONGEST_TITLE = 62  # characters above dots; longer titles are wrapped
LONGEST_LABEL = 44  # characters beside boxes; longer labels are wrapped
PERCENTILES = (5, 95)  # where the whiskers end
OF_KIND = {False: style.BLUE, True: style.ORANGE}  # inductive, transductive


class Method(NamedTuple):
    """A method in a figure.

    Attributes:
        label: its name.
        transductive: whether it sees all queries of a task at once.
    """

    label: str
    transductive: bool


class Boxes(NamedTuple):
    """The accuracies of single tasks in [0, 1], [t], by method."""

    title: str
    values: Mapping[Method, np.ndarray]


class Line(NamedTuple):
    """The mean accuracy of a method in [0, 1] at rising shots, with half of its 95% interval."""

    method: Method
    shots: Sequence[int]
    means: Sequence[float]
    halves: Sequence[float]


@style.styled
def boxes(panels: Sequence[Boxes], path: Path) -> list[Path]:
    """Write horizontal box plots of the tasks' accuracies, panels side by side.

    The methods of the first panel are in falling order of their mean; a method that is missing in
    a panel has no box there.
    """
    methods = sorted(
        {method: None for panel in panels for method in panel.values},
        key=lambda method: _mean(panels, method),
    )
    labels = [_wrapped(one.label) for one in methods]
    figure, _ = style.new(1.1 + _height(labels))
    figure.clear()
    grid = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)
    for axes, panel in zip(grid.flat, panels, strict=True):
        for row, method in enumerate(methods):
            if method in panel.values:
                _box(axes, row, 100 * panel.values[method], OF_KIND[method.transductive])
        axes.set_title(panel.title)
        axes.grid(False, axis="y")
    grid[0, 0].set_xlim(right=min(grid[0, 0].get_xlim()[1], 101))  # shared by all panels
    grid[0, 0].set_yticks(range(len(methods)), labels, fontsize=style.SMALL)
    grid[0, 0].set_ylim(-0.7, len(methods) - 0.3)
    figure.supxlabel(
        "accuracy of a task, % (box: middle half and median; diamond: mean; whiskers: "
        f"{PERCENTILES[0]}th to {PERCENTILES[1]}th percentile)",
        fontsize=style.LABEL,
    )
    _kinds(figure, {method.transductive for method in methods})
    return style.save(figure, path)


def _mean(panels: Sequence[Boxes], method: Method) -> tuple[float, ...]:
    return tuple(float(np.mean(panel.values[method])) for panel in panels if method in panel.values)


def _box(axes: Any, row: int, percent: np.ndarray, colour: str) -> None:
    plain = {"color": colour}
    axes.boxplot(
        [percent],
        positions=[row],
        orientation="horizontal",
        widths=0.6,
        whis=PERCENTILES,
        showfliers=False,
        showmeans=True,
        boxprops=plain,
        whiskerprops=plain,
        capprops=plain,
        medianprops={"color": colour, "linewidth": 2},
        meanprops={"marker": "D", "markersize": 3.5, "markerfacecolor": "white",
                   "markeredgecolor": colour},
    )  # fmt: skip


def _wrapped(label: str) -> str:
    return textwrap.fill(label, LONGEST_LABEL, break_on_hyphens=False)


def _height(labels: Sequence[str]) -> float:
    """Return the inches that rows with these labels take."""
    return sum(0.12 + 0.13 * (1 + label.count("\n")) for label in labels)


def _kinds(figure: Any, kinds: set[bool], shots: Sequence[int] = ()) -> None:
    """Draw a legend of inductive and transductive, if there are both, and of the shots."""
    from matplotlib.lines import Line2D

    words = {False: "inductive", True: "transductive"}
    handles = [Line2D([], [], color=OF_KIND[kind], label=words[kind]) for kind in words]
    handles = handles if len(kinds) > 1 else []
    for number, marker in zip(shots, style.MARKERS, strict=False):
        label = f"{number}-shot"
        handles.append(Line2D([], [], color=style.GREY, linestyle="", marker=marker, label=label))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


@style.styled
def against_shots(lines: Sequence[Line], title: str, path: Path) -> list[Path]:
    """Write the mean accuracy against the shots, with intervals; transductive methods dashed."""
    columns = 1 if max(len(line.method.label) for line in lines) > 45 else 2
    figure, axes = style.new(3.4 + 0.2 * len(lines) / columns)
    names = sorted(line.method.label for line in lines)  # the same colours in similar figures
    # The legend lists the lines in the order in which they end, from the top.
    for line in sorted(lines, key=lambda line: -line.means[-1]):
        position = names.index(line.method.label)
        mark = " (transductive)" if line.method.transductive else ""
        axes.errorbar(
            line.shots,
            [100 * mean for mean in line.means],
            np.transpose([_arms(*pair) for pair in zip(line.means, line.halves, strict=True)]),
            color=style.COLOURS[position % len(style.COLOURS)],
            marker=style.MARKERS[position % len(style.MARKERS)],
            linestyle="--" if line.method.transductive else "-",
            capsize=2,
            label=line.method.label + mark,
        )
    shots = sorted({number for line in lines for number in line.shots})
    style.label_axis(axes, [float(number) for number in shots], "shots")
    axes.set_xlabel("shots: support images per class")
    axes.set_ylabel("accuracy, % (mean and 95% interval)")
    axes.set_title(textwrap.fill(title, LONGEST_TITLE))
    figure.legend(loc="outside lower center", ncols=columns)
    return style.save(figure, path)


def _arms(mean: float, half: float) -> tuple[float, float]:
    """Return how far an interval reaches below and above its mean in percent, within 0 to 100."""
    return 100 * min(half, mean), 100 * min(half, 1 - mean)


@style.styled
def dots(lines: Sequence[Line], title: str, path: Path) -> list[Path]:
    """Write a row of dots for each method, one dot for each number of shots, with intervals."""
    ordered = sorted(lines, key=lambda line: line.means[-1])
    labels = [_wrapped(line.method.label) for line in ordered]
    figure, axes = style.new(1.3 + _height(labels))
    shots = sorted({number for line in lines for number in line.shots})
    for row, line in enumerate(ordered):
        colour = OF_KIND[line.method.transductive]
        means = [100 * mean for mean in line.means]
        axes.plot(means, [row] * len(means), color=colour, alpha=0.3)
        for number, mean, half in zip(line.shots, means, line.halves, strict=True):
            marker = style.MARKERS[shots.index(number) % len(style.MARKERS)]
            below, above = _arms(mean / 100, half)
            ends = [[below], [above]]
            axes.errorbar(mean, row, xerr=ends, color=colour, marker=marker, capsize=2)
    axes.set_yticks(range(len(ordered)), labels, fontsize=style.SMALL)
    axes.set_ylim(-0.7, len(ordered) - 0.3)
    axes.set_xlabel("accuracy, % (mean and 95% interval over tasks)")
    axes.set_title(textwrap.fill(title, LONGEST_TITLE))
    axes.grid(False, axis="y")
    _kinds(figure, {line.method.transductive for line in lines}, shots)
    return style.save(figure, path)
