"""Draw the accuracy of several methods on one task: trials, mean and 95% interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fewshot.evaluation.statistics import Interval
from fewshot.report.plots import style


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
    figure, axes = style.new(0.9 + 0.45 * len(results))
    ordered = sorted(results, key=lambda result: result.mean)
    for row, result in enumerate(ordered):
        percent = [100 * value for value in result.values]
        axes.scatter(percent, [row] * len(percent), s=22, color=style.GREY, zorder=2)
        low, high = result.interval or (result.mean, result.mean)
        axes.errorbar(
            100 * result.mean,
            row,
            xerr=[[100 * (result.mean - low)], [100 * (high - result.mean)]],
            fmt="o",
            color=style.BLUE,
            capsize=4,
            zorder=3,
        )
    axes.set_yticks(range(len(ordered)), [result.label for result in ordered])
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_xlim(right=min(axes.get_xlim()[1], 101))
    axes.set_xlabel("accuracy, % (mean and 95% interval over trials; grey: trials)")
    axes.set_title(title)
    return style.save(figure, path)
