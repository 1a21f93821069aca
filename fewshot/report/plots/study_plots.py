"""The figures of a study, and those of them that are dots, lines or bars."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fewshot.evaluation.statistics import Interval
from fewshot.report.formatting import Table
from fewshot.report.plots import accuracy_curves, classes, style
from fewshot.runs.run_record import RunRecord

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


def confusion(record: RunRecord, path: Path) -> list[Path]:
    """Write the confusion matrix of a record."""
    return style.save(classes.confusion(record), path)


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
