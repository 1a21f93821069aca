"""What suggested labels gain over random ones, as text, as a table and as a figure."""

from __future__ import annotations

import csv
import io as text_io
from pathlib import Path
from typing import Any

from fewshot import io
from fewshot.evaluation import statistics
from fewshot.model.suggest.gain_curve import Curve
from fewshot.report.plots import style

TABLE, FIGURE = "gain.csv", "gain"
ANOTHER = "name another folder with --out"
HEAD = ("labels", "suggested", "at random", "difference", "classes")


def text(curve: Curve) -> str:
    """Return a table of the accuracies and their paired differences, with 95% intervals."""
    n_trials = len(curve.suggested)
    rows = [HEAD]
    for column, budget in enumerate(curve.budgets):
        ours, theirs = (
            statistics.summary(values[:, column].tolist())
            for values in (curve.suggested, curve.random)
        )
        gain = curve.gain(column)
        classes = (
            f"{values[:, column].mean():.1f}"
            for values in (curve.classes_suggested, curve.classes_random)
        )
        cells = (f"{budget:,}", ours.text(".3f"), theirs.text(".3f"), _signed(gain.mean, gain.half))
        rows.append((*cells, " / ".join(classes)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    trials = f"{n_trials} pool{'' if n_trials == 1 else 's'}"
    lines.append(
        f"Accuracy with so many labels in all, mean of {trials} ± 95% interval; the difference is "
        "that of the same pools. Classes: how many have a label, suggested / at random."
    )
    return "\n".join(lines)


def _signed(mean: float, half: float | None) -> str:
    return f"{mean:+.3f}" + ("" if half is None else f" ± {half:.3f}")


def write(curve: Curve, folder: Path) -> list[Path]:
    """Write `gain.csv`, with a row for each trial and budget, and the figure; return the files."""
    io.make_folder(folder, ANOTHER)
    stream = text_io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("trial", "labels", "suggested", "random"))
    for trial in range(len(curve.suggested)):
        for column, budget in enumerate(curve.budgets):
            ours, theirs = curve.suggested[trial, column], curve.random[trial, column]
            writer.writerow((trial, budget, f"{float(ours):.6f}", f"{float(theirs):.6f}"))
    io.write_bytes(folder / TABLE, stream.getvalue().encode(), ANOTHER)
    return [folder / TABLE, *style.save(draw(curve), folder / FIGURE)]


@style.styled
def draw(curve: Curve) -> Any:
    """Return a figure of the accuracies, and of their paired differences, by number of labels."""
    figure, (left, right) = style.new(2.8, columns=2)
    budgets = list(map(float, curve.budgets))
    for values, name, colour, marker in (
        (curve.suggested, "suggested", style.BLUE, "o"),
        (curve.random, "at random", style.GREY, "s"),
    ):
        scores = [statistics.summary(values[:, i].tolist()) for i in range(len(budgets))]
        means, halves = [score.mean for score in scores], [score.half or 0 for score in scores]
        left.errorbar(budgets, means, halves, color=colour, marker=marker, capsize=2, label=name)
    left.set_ylabel("accuracy")
    left.legend()
    gains = [curve.gain(i) for i in range(len(budgets))]
    means, halves = [gain.mean for gain in gains], [gain.half or 0 for gain in gains]
    right.errorbar(budgets, means, halves, color=style.BLUE, marker="o", capsize=2)
    right.axhline(0, color=style.GREY, linewidth=1)
    right.set_ylabel("difference of the same pools")
    for axes in (left, right):
        style.label_axis(axes, budgets, "shots")
        axes.set_xlabel("labels in all")
    return figure
