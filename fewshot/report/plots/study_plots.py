"""Draw the figures of a study: dots, box plots, learning curves and bars."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot.evaluation.statistics import Interval
from fewshot.report.formatting import Table
from fewshot.report.plots import accuracy_curves, classes, style
from fewshot.report.plots.training_curves import average
from fewshot.runs.run_record import RunRecord

LONGEST_TICKS = 40  # characters below box plots; longer labels are rotated
LONGEST_LABEL = 60  # characters beside dots; longer labels are wrapped, which leaves room for dots
LINE = 0.21  # inches of a line of such a label


class Figure(NamedTuple):
    """A figure of a page.

    name: its file without the ending. alt: a description in words. table: the numbers in it.
    save: writes the files and returns their paths.
    """

    name: str
    title: str
    alt: str
    table: Table
    save: Callable[[Path], list[Path]]


class Dot(NamedTuple):
    """A reported number beside a measured mean and its interval over trials, all in percent."""

    label: str
    reported: float
    measured: float
    interval: Interval


class Boxes(NamedTuple):
    """Accuracies in percent by the value of one setting."""

    title: str
    setting: str
    values: dict[str, list[float]]


class Series(NamedTuple):
    """One quantity over the epochs, a row per trial, NaN after a trial has stopped.

    dashed: the quantity was measured on training images.
    """

    label: str
    epochs: list[float]
    trials: np.ndarray
    dashed: bool


@style.styled
def dots(entries: Sequence[Dot], path: Path) -> list[Path]:
    """Write a dot plot of measured beside reported accuracies."""
    labels = [
        textwrap.fill(entry.label, LONGEST_LABEL, break_on_hyphens=False) for entry in entries
    ]
    height = LINE * max(1.0, *(0.7 * (label.count("\n") + 1) for label in labels))
    figure, axes = style.new(0.9 + height * len(entries))
    rows = np.arange(len(entries))[::-1]
    measured = [entry.measured for entry in entries]
    reported = [entry.reported for entry in entries]
    axes.hlines(rows, reported, measured, color=style.GREY, linewidth=0.8, alpha=0.6)
    axes.errorbar(
        measured,
        rows,
        xerr=[
            [entry.measured - entry.interval.low for entry in entries],
            [entry.interval.high - entry.measured for entry in entries],
        ],
        fmt="o",
        color=style.BLUE,
        linewidth=1.2,
        label="measured, 95% interval over trials",
    )
    hollow = {"markerfacecolor": "none", "color": style.ORANGE}
    axes.plot(reported, rows, "D", label="reported", **hollow)
    axes.set_yticks(rows, labels, fontsize=style.SMALL)
    axes.set_ylim(-0.8, len(entries) - 0.2)
    axes.set_xlabel("accuracy, %")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    axes.grid(False, axis="y")
    return style.save(figure, path)


@style.styled
def boxes(panels: Sequence[Boxes], path: Path) -> list[Path]:
    """Write box plots, two panels in a row."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, _ = style.new(2.7 * rows, width=3.6 * columns)
    figure.clear()
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        plain = {"color": style.BLUE}
        axes.boxplot(
            list(panel.values.values()),
            tick_labels=list(panel.values),
            widths=0.5,
            boxprops=plain,
            whiskerprops=plain,
            capprops=plain,
            medianprops={"color": style.ORANGE},
            flierprops={"markersize": 3, "markeredgecolor": style.GREY},
        )
        if sum(map(len, panel.values)) > LONGEST_TICKS:
            axes.set_xticks(axes.get_xticks(), list(panel.values), rotation=30, ha="right")
        axes.set_title(panel.title, fontsize=style.TICK)
        axes.set_xlabel(panel.setting)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy, %")
    return style.save(figure, path)


def confusion(record: RunRecord, path: Path) -> list[Path]:
    """Write the confusion matrix of a record."""
    return style.save(classes.confusion(record), path)


def budgets(panel: accuracy_curves.Panel, path: Path) -> list[Path]:
    """Write accuracy against the number of labels."""
    return accuracy_curves.save(panel, path)


@style.styled
def learning(panels: Mapping[str, Sequence[Series]], path: Path) -> list[Path]:
    """Write one panel per quantity: mean over trials, standard deviation shaded, trials faint."""
    figure, grid = style.new(3.4, len(panels), width=4.1 * len(panels))
    every = [series for group in panels.values() for series in group]
    labels = list(dict.fromkeys(series.label for series in every))
    handles: dict[str, Any] = {}
    for axes, (quantity, group) in zip(np.atleast_1d(grid), panels.items(), strict=True):
        for series in group:
            colour = style.COLOURS[labels.index(series.label) % len(style.COLOURS)]
            handles.setdefault(series.label, _series(axes, series, colour))
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity)
    columns = 1 if max(map(len, labels)) > 40 else 2
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)
    return style.save(figure, path)


def _series(axes: Any, series: Series, colour: str) -> Any:
    """Draw one quantity and return the line of its mean."""
    look: dict[str, Any] = {"color": colour, "linestyle": "--" if series.dashed else "-"}
    for trial in series.trials if len(series.trials) > 1 else []:
        axes.plot(series.epochs, trial, linewidth=0.6, alpha=0.3, **look)
    middle, spread = over_trials(series.trials)
    (line,) = axes.plot(series.epochs, middle, **look)
    low, high = middle - spread, middle + spread
    axes.fill_between(series.epochs, low, high, color=colour, alpha=0.18, linewidth=0)
    return line


def over_trials(trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (n - 1; 0 for one trial) at each epoch."""
    middle = average(trials.tolist())
    return middle.mean, np.where(middle.trials > 1, middle.std, 0.0)


@style.styled
def bars(labels: Sequence[str], values: Sequence[float], quantity: str, path: Path) -> list[Path]:
    """Write horizontal bars with their values."""
    figure, axes = style.new(0.8 + 0.22 * len(labels))
    rows = np.arange(len(labels))[::-1]
    drawn = axes.barh(rows, values, height=0.65, color=style.BLUE)
    axes.bar_label(drawn, fmt="%.3g", fontsize=style.SMALL, padding=2)
    axes.set_yticks(rows, labels, fontsize=style.SMALL)
    axes.set_xlabel(quantity)
    axes.grid(False, axis="y")
    return style.save(figure, path)
