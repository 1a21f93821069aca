"""How much better a run is on what it learned from: training beside validation and test, at the end and over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fewshot.report.plots.style import BLUE, GREEN, VERMILION, blank, short
from fewshot.runs.records import Record

Curves = Mapping[
    str, Any
]  # "epoch": [n], any other key, as "train_loss": [n_draws, n], null where a draw has no value
PARTS = {
    "train": ("training", BLUE),
    "validation": ("validation", GREEN),
    "test": ("test", VERMILION),
}


class Mean(NamedTuple):
    """Over the draws that have a value at each of n points: mean [n], std [n] (n - 1; nan for one draw), draws [n]."""

    mean: np.ndarray
    std: np.ndarray
    draws: np.ndarray


def scores(record: Record) -> dict[str, Any]:
    """The accuracies that a record has, by part (train, validation, test), as records.summary gives them."""
    validation = record["validation"]
    found = {
        "train": record["train_accuracy"],
        "validation": None if validation is None else validation["accuracy"],
        "test": record["scores"]["accuracy"],
    }
    return {part: score for part, score in found.items() if score is not None}


def train_and_test(found: Mapping[str, Record]) -> Any:
    """Figure: training, validation and test accuracy of each record, by its label, with 95% intervals and draws."""
    rows = {label: scores(record) for label, record in found.items()}
    parts = [part for part in PARTS if any(part in each for each in rows.values())]
    figure, axes = blank(1.1 + (0.26 * len(parts) + 0.15) * len(rows))
    thick = 0.8 / len(parts)
    for row, each in enumerate(rows.values()):
        for number, part in enumerate(parts):
            if part in each:
                _bar(
                    axes,
                    row + (number - (len(parts) - 1) / 2) * thick,
                    thick,
                    each[part],
                    PARTS[part][1],
                )
    for part in parts:
        axes.barh([0], [0], color=PARTS[part][1], alpha=0.4, label=PARTS[part][0])
    axes.set_yticks(range(len(rows)), [short(label, 40) for label in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.grid(False, axis="y")
    axes.set_xlabel("accuracy, %; bar: mean, line: 95% interval, points: draws", fontsize=9)
    figure.legend(fontsize=9, frameon=False, loc="outside upper center", ncols=len(parts))
    return figure


def _bar(axes: Any, place: float, thick: float, score: Mapping[str, Any], colour: str) -> None:
    mean, values = 100 * score["mean"], [100 * value for value in score["values"]]
    axes.barh([place], [mean], height=0.9 * thick, color=colour, alpha=0.4, linewidth=0)
    if score["ci95"] is not None:
        half = 100 * score["ci95"]
        axes.plot(
            [max(0, mean - half), min(100, mean + half)], [place, place], color=colour, linewidth=2
        )
        axes.plot(values, [place] * len(values), ".", color="0.25", markersize=4)
    axes.annotate(f"{mean:.1f}", (101.5, place), va="center", fontsize=8, annotation_clip=False)


def average(values: Sequence[Sequence[float | None]]) -> Mean:
    """Mean and standard deviation at each point over the draws that have a value there; values [n_draws, n]."""
    table = np.array(
        [[np.nan if value is None else value for value in draw] for draw in values], dtype=float
    )
    known = ~np.isnan(table)
    count = known.sum(0)
    total = np.where(known, table, 0).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        squares = np.where(known, (table - mean) ** 2, 0).sum(0)
        std = np.sqrt(squares / np.where(count > 1, count - 1, np.nan))
    return Mean(mean, std, count)


def over_epochs(curves: Curves, record: Record | None = None, title: str = "") -> Any:
    """Figure: loss and accuracy over epochs, the mean over draws with the standard deviation shaded, draws faint.

    curves: `epoch` and any of {train, validation, test}_{loss, accuracy}. Where some draws have stopped, the mean of
    those still training is dotted. record: its accuracies at the end are drawn as points, right of the last epoch.
    """
    kinds = [
        kind for kind in ("loss", "accuracy") if any(key.endswith(f"_{kind}") for key in curves)
    ]
    figure, axes = blank(3.6, len(kinds))
    for kind, axis in zip(kinds, [axes] if len(kinds) == 1 else axes, strict=True):
        scale = 100 if kind == "accuracy" else 1
        for part, (_, colour) in PARTS.items():
            if f"{part}_{kind}" in curves:
                _curve(axis, curves["epoch"], _scaled(curves[f"{part}_{kind}"], scale), colour)
        axis.set_xlabel("epoch", fontsize=9)
        axis.set_ylabel("accuracy, %" if kind == "accuracy" else "loss", fontsize=9)
        if kind == "accuracy" and record is not None:
            _at_the_end(axis, curves["epoch"], record)
    shown = {key.rpartition("_")[0] for key in curves} | (
        scores(record).keys() if record and len(kinds) > 1 else set()
    )
    for part in PARTS:
        if part in shown:
            figure.axes[0].plot([], [], color=PARTS[part][1], label=PARTS[part][0])
    figure.legend(
        fontsize=9, frameon=False, loc="outside upper center", ncols=len(PARTS), title=title or None
    )
    return figure


def _scaled(values: Sequence[Sequence[float | None]], scale: float) -> list[list[float]]:
    return [[float("nan") if value is None else scale * value for value in draw] for draw in values]


def _curve(axis: Any, epochs: Sequence[float], values: list[list[float]], colour: str) -> None:
    x, found = np.array(epochs), average(values)
    if len(values) > 1:
        for draw in values:
            axis.plot(x, draw, color=colour, linewidth=0.7, alpha=0.35)
    some = found.draws > 0
    every = found.draws == found.draws.max()
    axis.plot(x[some], found.mean[some], color=colour, linewidth=1.2, linestyle=":")
    axis.plot(x[some], np.where(every, found.mean, np.nan)[some], color=colour, linewidth=2)
    axis.fill_between(
        x, found.mean - found.std, found.mean + found.std, color=colour, alpha=0.2, linewidth=0
    )


def _at_the_end(axis: Any, epochs: Sequence[float], record: Record) -> None:
    """Points right of the curves, for what was judged once, when the training was over."""
    width = max(epochs) - min(epochs) or 1
    for number, (part, score) in enumerate(scores(record).items(), start=1):
        x, colour = max(epochs) + 0.05 * number * width, PARTS[part][1]
        axis.errorbar(
            x,
            100 * score["mean"],
            100 * (score["std"] or 0),
            fmt="o",
            color=colour,
            markersize=5,
            capsize=3,
        )
    axis.axvline(max(epochs) + 0.025 * width, color="0.8", linewidth=0.8)
    axis.set_xticks([tick for tick in axis.get_xticks() if min(0, *epochs) <= tick <= max(epochs)])
    axis.annotate(
        "at the end",
        (1, 1.01),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        fontsize=8,
        color="0.35",
    )
