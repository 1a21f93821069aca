"""The figures of a study, drawn: dots, boxes, learning curves and bars; every size follows the number of entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot.report.plots import classes, accuracy_curves as curves, style as drawing
from fewshot.report.studies.tables import Table
from fewshot.runs.records import Record

# each seen on white and on a dark page: contrast 3:1 or more on both
COLOURS = ("#2a7fce", "#d9600a", "#2e9150", "#c9408c", "#8a63d2", "#a8741a", "#1d8f9c", "#d0453f")
GREY = "#7a7a7a"


class Figure(NamedTuple):
    """name: its file without ending; alt: what is seen, in words; table: the numbers behind it."""

    name: str
    title: str
    alt: str
    table: Table
    draw: Callable[[Path], list[Path]]


class Dot(NamedTuple):
    """A measured mean with half its interval beside a reported number, in percent."""

    label: str
    reported: float
    measured: float
    half: float


class Boxes(NamedTuple):
    """Accuracies in percent by the value of one setting."""

    title: str
    setting: str
    values: dict[str, list[float]]


class Series(NamedTuple):
    """One quantity of a cell over the epochs, a row a draw, NaN where a draw had ended; dashed: of training images."""

    label: str
    epochs: list[float]
    draws: np.ndarray
    dashed: bool


def dots(entries: Sequence[Dot], path: Path) -> list[Path]:
    figure, axes = _new(6.4, 0.9 + 0.21 * len(entries))
    places = np.arange(len(entries))[::-1]
    measured, told = [each.measured for each in entries], [each.reported for each in entries]
    axes.hlines(places, told, measured, color=GREY, linewidth=0.8, alpha=0.6)
    axes.errorbar(
        measured, places, xerr=[each.half for each in entries], fmt="o", color=COLOURS[0], markersize=4, linewidth=1.2,
        label="measured, 95% interval",
    )  # fmt: skip
    axes.plot(
        told,
        places,
        "D",
        markerfacecolor="none",
        color=COLOURS[1],
        markersize=4.5,
        label="reported",
    )
    axes.set_yticks(places, [each.label for each in entries], fontsize=7)
    axes.set_ylim(-0.8, len(entries) - 0.2)
    axes.set_xlabel("accuracy, %")
    axes.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    axes.grid(True, axis="x", alpha=0.3)
    return drawing.save(figure, path)


def boxes(panels: Sequence[Boxes], path: Path) -> list[Path]:
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * columns, 2.7 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        plain = {"color": COLOURS[0]}
        axes.boxplot(
            list(panel.values.values()), tick_labels=list(panel.values), widths=0.5, boxprops=plain, whiskerprops=plain,
            capprops=plain, medianprops={"color": COLOURS[1]}, flierprops={"markersize": 3, "markeredgecolor": GREY},
        )  # fmt: skip
        axes.set_title(panel.title, fontsize=8)
        axes.set_xlabel(panel.setting, fontsize=8)
        axes.tick_params(labelsize=7)
        _plain(axes)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy, %", fontsize=8)
    return drawing.save(figure, path)


def confusion(record: Record, path: Path) -> list[Path]:
    """What is taken for what, as `classes.confusion`."""
    return drawing.save(classes.confusion(record), path)


def learning(panels: Mapping[str, Sequence[Series]], path: Path) -> list[Path]:
    """One panel a quantity; the mean over draws, its standard deviation shaded, each draw faint."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.1 * len(panels), 3.2), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)
    labels = list(dict.fromkeys(each.label for series in panels.values() for each in series))
    handles: dict[str, Any] = {}
    for axes, (quantity, series) in zip(grid.flat, panels.items(), strict=True):
        for each in series:
            colour = COLOURS[labels.index(each.label) % len(COLOURS)]
            style = "--" if each.dashed else "-"
            for draw in each.draws if len(each.draws) > 1 else []:
                axes.plot(
                    each.epochs, draw, color=colour, linewidth=0.6, alpha=0.3, linestyle=style
                )
            middle, spread = over_draws(each.draws)
            (line,) = axes.plot(each.epochs, middle, color=colour, linewidth=1.6, linestyle=style)
            axes.fill_between(
                each.epochs, middle - spread, middle + spread, color=colour, alpha=0.18, linewidth=0
            )
            handles.setdefault(each.label, line)
        axes.set_xlabel("epoch", fontsize=8)
        axes.set_ylabel(quantity, fontsize=8)
        axes.tick_params(labelsize=7)
        _plain(axes)
    figure.legend(
        list(handles.values()), list(handles), fontsize=7, frameon=False, loc="outside lower center",
        ncols=1 if max(map(len, labels)) > 40 else 2,
    )  # fmt: skip
    return drawing.save(figure, path)


def over_draws(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (n-1; 0 for one draw) at each epoch over the draws that came so far."""
    many = np.sum(~np.isnan(draws), axis=0)
    middle = np.nansum(draws, axis=0) / np.maximum(many, 1)
    squares = np.nansum((draws - middle) ** 2, axis=0)
    return np.where(many > 0, middle, np.nan), np.sqrt(squares / np.maximum(many - 1, 1))


def bars(labels: Sequence[str], values: Sequence[float], quantity: str, path: Path) -> list[Path]:
    figure, axes = _new(6.4, 0.8 + 0.22 * len(labels))
    places = np.arange(len(labels))[::-1]
    drawn = axes.barh(places, values, height=0.65, color=COLOURS[0])
    axes.bar_label(drawn, fmt="%.3g", fontsize=7, padding=2)
    axes.set_yticks(places, labels, fontsize=7)
    axes.set_xlabel(quantity)
    axes.grid(True, axis="x", alpha=0.3)
    return drawing.save(figure, path)


def budgets(panel: curves.Panel, path: Path) -> list[Path]:
    """Accuracy against shots or fraction, in the colours of this page."""
    from cycler import cycler
    from matplotlib import rc_context

    with rc_context({"axes.prop_cycle": cycler(color=COLOURS)}):
        return curves.draw(panel, path)


def _new(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _plain(axes: Any) -> None:
    axes.grid(True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
