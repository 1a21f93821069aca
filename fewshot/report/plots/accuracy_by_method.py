"""Draw the accuracy of several methods on one task: trials, mean and 95% interval."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fewshot.evaluation.statistics import Interval
from fewshot.report.plots import style

LONGEST_LABEL = 44  # characters beside the points; longer labels are wrapped
LONGEST_TITLE = 62


class Result(NamedTuple):
    """One row of the figure.

    Attributes:
        label: name of the method.
        values: accuracy of each trial, in [0, 1].
        mean: mean of the values.
        interval: 95% interval of the mean over trials, or None for a single trial.
    """

    label: str
    values: Sequence[float]
    mean: float
    interval: Interval | None


@style.styled
def draw(results: Sequence[Result], title: str, path: Path) -> list[Path]:
    """Write the figure, the best method at the top, as `style.save` does; return the paths."""
    ordered = sorted(results, key=lambda result: result.mean)
    labels = [textwrap.fill(one.label, LONGEST_LABEL, break_on_hyphens=False) for one in ordered]
    figure, axes = style.new(0.9 + sum(0.22 + 0.12 * label.count("\n") for label in labels))
    for row, result in enumerate(ordered):
        percent = [100 * value for value in result.values]
        axes.scatter(percent, [row] * len(percent), s=9, color=style.GREY, zorder=2)
        low, high = result.interval or (result.mean, result.mean)
        axes.errorbar(
            100 * result.mean,
            row,
            xerr=[[100 * (result.mean - low)], [100 * (high - result.mean)]],
            fmt="o",
            color=style.BLUE,
            capsize=3,
            zorder=3,
        )
    axes.set_yticks(range(len(ordered)), labels)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_xlim(right=min(axes.get_xlim()[1], 101))
    axes.set_xlabel("accuracy, %; mean and 95% interval over trials, grey: trials")
    axes.set_title(textwrap.fill(title, LONGEST_TITLE))
    return style.save(figure, path)
