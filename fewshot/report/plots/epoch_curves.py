"""Draw quantities over the epochs of several settings: mean, standard deviation and trials."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot.report.plots import style
from fewshot.report.plots.training_curves import average

LONGEST_LABEL = 48  # characters of a line of the legend
STEEP = 2.0  # a first loss so many times the largest later one is cut off and written beside it


class Series(NamedTuple):
    """One quantity over the epochs, a row per trial, NaN after a trial has stopped.

    dashed: the quantity was measured on training images.
    """

    label: str
    epochs: list[float]
    trials: np.ndarray
    dashed: bool


class Panel(NamedTuple):
    """The curves of one quantity; share: it is an accuracy, from 0 to 1, drawn in percent."""

    quantity: str
    share: bool
    curves: Sequence[Series]


@style.styled
def draw(panels: Sequence[Panel], title: str, path: Path) -> list[Path]:
    """Write the panels side by side: mean over trials, standard deviation shaded, trials faint.

    Curves on training images are dashed where there are others.

    Args:
        panels: one for each quantity.
        title: what all curves share; may be empty.
        path: of the files, without their ending.
    """
    every = [series for panel in panels for series in panel.curves]
    labels = list(dict.fromkeys(series.label for series in every))
    colours = {
        label: style.COLOURS[number % len(style.COLOURS)] for number, label in enumerate(labels)
    }
    columns = 2 if len(panels) > 1 and max(map(len, labels)) <= LONGEST_LABEL else 1
    kinds = {series.dashed for series in every}
    handles = _legend(every, colours)
    lines = sum(handle.get_label().count("\n") + 1 for handle in handles)
    width = style.DOUBLE if len(panels) > 1 else style.SINGLE
    figure = style.blank(2.3 + 0.15 * lines / columns, width)
    grid = figure.subplots(1, len(panels), squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=True):
        for series in panel.curves:
            _draw(axes, panel, series, colours[series.label], mixed=len(kinds) > 1)
        _limit(axes, panel)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
        on_training = " on training images" if kinds == {True} else ""
        axes.set_ylabel(f"{panel.quantity}{on_training}{', %' if panel.share else ''}")
    if title:
        figure.suptitle(title, fontsize=style.TICK)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    return style.save(figure, path)


def _legend(every: Sequence[Series], colours: Mapping[str, str]) -> list[Any]:
    """Return the entries of a legend: settings by colour, images by line, and what is shaded."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for label, colour in colours.items():
        words = textwrap.fill(label, LONGEST_LABEL, break_on_hyphens=False)
        handles.append(Line2D([], [], color=colour, label=words))
    if len({series.dashed for series in every}) > 1:
        handles.append(Line2D([], [], color=style.GREY, label="validation images"))
        handles.append(Line2D([], [], color=style.GREY, linestyle="--", label="training images"))
    numbers = sorted({len(series.trials) for series in every} - {1})
    if numbers:
        n = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        words = f"mean ± standard deviation of {n} trials"
        handles.append(Patch(color=style.GREY, alpha=0.3, linewidth=0, label=words))
    return handles


def _draw(axes: Any, panel: Panel, series: Series, colour: str, *, mixed: bool) -> None:
    scale = 100 if panel.share else 1
    look: dict[str, Any] = {"color": colour, "linestyle": "--" if series.dashed and mixed else "-"}
    for trial in series.trials if len(series.trials) > 1 else []:
        axes.plot(series.epochs, scale * trial, linewidth=0.6, alpha=0.3, **look)
    middle, spread = over_trials(series.trials)
    alone = {"marker": "o", "markersize": 3} if np.isfinite(middle).sum() == 1 else {}
    axes.plot(series.epochs, scale * middle, **look, **alone)
    low = np.maximum(middle - spread, 0)  # neither a loss nor a share is negative
    high = np.minimum(middle + spread, 1) if panel.share else middle + spread
    axes.fill_between(
        series.epochs, scale * low, scale * high, color=colour, alpha=0.18, linewidth=0
    )


def _limit(axes: Any, panel: Panel) -> None:
    """Cut off the first losses that would flatten all others, and state the largest of them."""
    first, later = [], []
    for series in panel.curves:
        middle, _ = over_trials(series.trials)
        first.append(middle[0])
        later += [value for value in middle[1:] if np.isfinite(value)]
    if panel.share or not later or np.nanmax(first) < STEEP * max(later):
        return
    top = 1.15 * max(later)
    axes.set_ylim(top=top)
    axes.annotate(
        f"begins at {np.nanmax(first):.3g}",
        (panel.curves[0].epochs[0], top),
        xytext=(12, -8),
        textcoords="offset points",
        fontsize=style.SMALL,
        va="center",
    )


def over_trials(trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (n - 1; 0 for one trial) at each epoch."""
    middle = average(trials.tolist())
    return middle.mean, np.where(middle.trials > 1, middle.std, 0.0)
