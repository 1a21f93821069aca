"""The figures of a study, and those of them that are dots, lines or bars."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot.evaluation.statistics import Interval
from fewshot.report.formatting import Table
from fewshot.report.plots import accuracy_curves, classes, style
from fewshot.runs.run_record import RunRecord

LONGEST_LABEL = 58  # characters beside dots; longer labels are wrapped, which leaves room for dots
LINE = 0.115  # inches of a line of such a label


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
    """A reported number beside a measured mean and its interval over trials, all in percent.

    row: name and title of its row of the study. label: its settings, if the row has any.
    stand_in: another network ran in the place of the report's. scale: full or small.
    """

    row: str
    label: str
    reported: float
    measured: float
    interval: Interval
    stand_in: bool
    scale: str


@style.styled
def dots(entries: Sequence[Dot], path: Path) -> list[Path]:
    """Write a dot plot of measured beside reported accuracies, under the names of their rows.

    Dots are hollow at scale small, and have a colour of their own for another network in the place
    of the report's.
    """
    lines = _lines(entries)
    texts = [textwrap.fill(text, LONGEST_LABEL, break_on_hyphens=False) for text, _ in lines]
    # A line of text takes one unit of the y axis, so that longer labels have more room.
    rooms = [1.5 + 0.8 * text.count("\n") for text in texts]
    places = sum(rooms) - np.cumsum(rooms) + np.array(rooms) / 2
    figure, axes = style.new(1.0 + LINE * sum(rooms))
    for place, (_, entry) in zip(places, lines, strict=True):
        if entry is not None:
            _dot(axes, float(place), entry)
    axes.set_yticks(places, texts, fontsize=style.SMALL)
    for label, (_, entry) in zip(axes.get_yticklabels(), lines, strict=True):
        is_row = entry is None or not entry.label
        label.set_fontweight("bold" if is_row else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(0, sum(rooms))
    words = "accuracy, %; lines around measured means: 95% interval over trials"
    figure.supxlabel(words, fontsize=style.LABEL)
    axes.grid(False, axis="y")
    _kinds(figure, {(entry.stand_in, entry.scale) for entry in entries})
    return style.save(figure, path)


def _lines(entries: Sequence[Dot]) -> list[tuple[str, Dot | None]]:
    """Return the labels from the top: each row of the study, and below it its settings.

    A row without settings has its dot beside its name.
    """
    lines: list[tuple[str, Dot | None]] = []
    for row in dict.fromkeys(entry.row for entry in entries):
        some = [entry for entry in entries if entry.row == row]
        if [entry.label for entry in some] == [""]:
            lines.append((row, some[0]))
        else:
            lines += [(row, None), *((entry.label, entry) for entry in some)]
    return lines


def _dot(axes: Any, place: float, entry: Dot) -> None:
    colour = style.GREEN if entry.stand_in else style.BLUE
    face = colour if entry.scale == "full" else "none"
    axes.hlines(
        place, entry.reported, entry.measured, color=style.GREY, linewidth=0.8, linestyle=":"
    )
    arms = [[entry.measured - entry.interval.low], [entry.interval.high - entry.measured]]
    axes.errorbar(
        entry.measured, place, xerr=arms, fmt="o", color=colour, markerfacecolor=face, elinewidth=1
    )
    axes.plot(entry.reported, place, "D", color=style.ORANGE, markersize=3.2, zorder=3)


def _kinds(figure: Any, kinds: set[tuple[bool, str]]) -> None:
    """Draw a legend of the reported numbers and of each kind of measured ones."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], ls="", marker="D", color=style.ORANGE, label="reported")]
    for stand_in, scale in sorted(kinds):
        colour = style.GREEN if stand_in else style.BLUE
        network = "another network in its place" if stand_in else "the report's network"
        dot = Line2D([], [], ls="", marker="o", color=colour, label=f"{network}, scale {scale}")
        dot.set_markerfacecolor(colour if scale == "full" else "none")
        handles.append(dot)
    figure.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))


def confusion(record: RunRecord, name: str, path: Path) -> list[Path]:
    """Write the confusion matrix of a record."""
    return style.save(classes.confusion(record, name), path)


def budgets(panel: accuracy_curves.Panel, path: Path) -> list[Path]:
    """Write accuracy against the number of labels."""
    return accuracy_curves.save(panel, path)


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
