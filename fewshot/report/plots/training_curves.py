"""Training beside validation and test: at the end of training and over its epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fewshot.evaluation.statistics import Score
from fewshot.report.formatting import shortened
from fewshot.report.plots import style
from fewshot.runs.run_record import RunRecord

# "epoch": [n]; any other key, for example "train_loss": [n_trials, n], with None for no value
Curves = Mapping[str, Any]


class Part(NamedTuple):
    """How figures show the images that were scored: a label and a colour."""

    label: str
    colour: str


PARTS = {
    "train": Part("training", style.BLUE),
    "validation": Part("validation", style.GREEN),
    "test": Part("test", style.ORANGE),
}


class Mean(NamedTuple):
    """At each of n points over the trials with a value there: mean, standard deviation, trials.

    The standard deviation divides by n - 1 and is NaN for one trial.
    """

    mean: np.ndarray
    std: np.ndarray
    trials: np.ndarray


def scores(record: RunRecord) -> dict[str, Score]:
    """Return the accuracies of a record by part (train, validation, test), without missing ones."""
    validation = record.validation
    parts = {
        "train": record.train_accuracy,
        "validation": None if validation is None else validation["accuracy"],
        "test": record.scores["accuracy"],
    }
    return {part: score for part, score in parts.items() if score is not None}


@style.styled
def train_and_test(records: Mapping[str, RunRecord]) -> Any:
    """Draw the training, validation and test accuracy of each record, by its label."""
    rows = {label: scores(record) for label, record in records.items()}
    parts = [part for part in PARTS if any(part in row for row in rows.values())]
    figure, axes = style.new(1.1 + (0.26 * len(parts) + 0.15) * len(rows))
    thickness = 0.8 / len(parts)
    for row, score_of in enumerate(rows.values()):
        for number, part in enumerate(parts):
            if part in score_of:
                y = row + (number - (len(parts) - 1) / 2) * thickness
                _bar(axes, y, thickness, score_of[part], PARTS[part].colour)
    for part in parts:
        axes.barh([0], [0], color=PARTS[part].colour, alpha=0.4, label=PARTS[part].label)
    axes.set_yticks(range(len(rows)), [shortened(label, 40) for label in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.grid(False, axis="y")
    axes.set_xlabel("accuracy, %; bar: mean, line: 95% interval over trials, points: trials")
    figure.legend(loc="outside upper center", ncols=len(parts))
    return figure


def _bar(axes: Any, y: float, thickness: float, score: Score, colour: str) -> None:
    mean, values = 100 * score.mean, [100 * value for value in score.values]
    axes.barh([y], [mean], height=0.9 * thickness, color=colour, alpha=0.4, linewidth=0)
    interval = score.over_trials()
    if interval is not None:
        axes.plot([100 * end for end in interval], [y, y], color=colour, linewidth=2)
    if score.n > 1:
        axes.plot(values, [y] * len(values), ".", color="0.25", markersize=4)
    text = f"{mean:.1f}"
    axes.annotate(text, (101.5, y), va="center", fontsize=style.TICK, annotation_clip=False)


def average(values: Sequence[Sequence[float | None]]) -> Mean:
    """Return mean and standard deviation at each point; values [n_trials, n], None if missing."""
    table = np.array(
        [[np.nan if value is None else value for value in trial] for trial in values], dtype=float
    )
    known = ~np.isnan(table)
    count = known.sum(0)
    total = np.where(known, table, 0).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        squares = np.where(known, (table - mean) ** 2, 0).sum(0)
        std = np.sqrt(squares / np.where(count > 1, count - 1, np.nan))
    return Mean(mean, std, count)


def without_short_end(curves: Curves) -> Curves:
    """Return curves whose last point stands one interval after the one before it.

    The last step of a training often follows an epoch by a step or two, whose batches say little:
    a training loss is the mean over the steps since the previous point. Such a last point is left
    out, but for what was measured there on whole sets of images: this replaces the point before.
    """
    points = curves["epoch"]
    *earlier, latest = np.diff(points, prepend=0.0)
    usual = [length for length in earlier if length > 0]
    if not usual or latest >= 0.5 * np.median(usual):
        return curves
    merged: dict[str, Any] = {"epoch": list(points[:-1])}
    for name, trials in curves.items():
        if name == "train_loss":
            merged[name] = [trial[:-1] for trial in trials]
        elif name != "epoch":
            merged[name] = [
                [*trial[:-2], trial[-2] if trial[-1] is None else trial[-1]] for trial in trials
            ]
    return merged


@style.styled
def over_epochs(curves: Curves, record: RunRecord | None = None, title: str = "") -> Any:
    """Draw loss and accuracy over epochs: mean, standard deviation shaded, each trial faint.

    Where some trials have stopped early, the mean of the others is dotted.

    Args:
        curves: `epoch` and any of {train, validation, test}_{loss, accuracy}.
        record: its final accuracies are drawn as points to the right of the last epoch.
        title: of the legend.
    """
    curves = without_short_end(curves)
    kinds = [
        kind for kind in ("loss", "accuracy") if any(key.endswith(f"_{kind}") for key in curves)
    ]
    figure, axes = style.new(3.6, len(kinds))
    for kind, axis in zip(kinds, [axes] if len(kinds) == 1 else axes, strict=True):
        scale, highest = (100, 100.0) if kind == "accuracy" else (1, math.inf)
        for part, shown_as in PARTS.items():
            if f"{part}_{kind}" in curves:
                values = _scaled(curves[f"{part}_{kind}"], scale)
                _curve(axis, curves["epoch"], values, shown_as.colour, highest)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_xlabel("epoch")
        axis.set_ylabel("accuracy, %" if kind == "accuracy" else "loss")
        if kind == "accuracy" and record is not None:
            _final(axis, curves["epoch"], record)
    shown = {key.rpartition("_")[0] for key in curves}
    if record and len(kinds) > 1:
        shown |= scores(record).keys()
    for part in PARTS:
        if part in shown:
            figure.axes[0].plot([], [], color=PARTS[part].colour, label=PARTS[part].label)
    if any(len(trials) > 1 for name, trials in curves.items() if name != "epoch"):
        words = "standard deviation of the trials"
        figure.axes[0].fill_between([], [], [], color=style.GREY, alpha=0.3, label=words)
    figure.legend(loc="outside upper center", ncols=len(PARTS) + 1, title=title or None)
    return figure


def _scaled(values: Sequence[Sequence[float | None]], scale: float) -> list[list[float]]:
    scaled = []
    for trial in values:
        scaled.append([float("nan") if value is None else scale * value for value in trial])
    return scaled


def _curve(
    axis: Any, epochs: Sequence[float], values: list[list[float]], colour: str, highest: float
) -> None:
    """Draw the trials of a quantity from 0 to `highest`, their mean and standard deviation."""
    x, middle = np.array(epochs), average(values)
    if len(values) > 1:
        for trial in values:
            axis.plot(x, trial, color=colour, linewidth=0.7, alpha=0.35)
    some = middle.trials > 0
    complete = middle.trials == middle.trials.max()
    axis.plot(x[some], middle.mean[some], color=colour, linewidth=1.2, linestyle=":")
    axis.plot(x[some], np.where(complete, middle.mean, np.nan)[some], color=colour, linewidth=2)
    low = np.maximum(middle.mean - middle.std, 0)
    high = np.minimum(middle.mean + middle.std, highest)
    axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def _final(axis: Any, epochs: Sequence[float], record: RunRecord) -> None:
    """Draw points to the right of the curves for what was evaluated once, after training."""
    width = max(epochs) - min(epochs) or 1
    for number, (part, score) in enumerate(scores(record).items(), start=1):
        x = max(epochs) + 0.05 * number * width
        low, high = score.over_trials() or (score.mean, score.mean)
        arms = [[100 * (score.mean - low)], [100 * (high - score.mean)]]
        axis.errorbar(
            x, 100 * score.mean, arms, fmt="o", color=PARTS[part].colour, markersize=5, capsize=3
        )
    axis.axvline(max(epochs) + 0.025 * width, color="0.8", linewidth=0.8)
    axis.set_xticks([tick for tick in axis.get_xticks() if min(0, *epochs) <= tick <= max(epochs)])
    axis.annotate(
        "after training: mean, 95% interval",
        (1, 1.01),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        fontsize=style.TICK,
        color="0.35",
    )
