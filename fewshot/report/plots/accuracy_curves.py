"""Accuracy against the number of labels: one line per method, with its 95% intervals."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fewshot import io
from fewshot.evaluation.statistics import Interval
from fewshot.report import formatting, labels
from fewshot.report.plots import style
from fewshot.runs.run_record import RunRecord

LONGEST_LABEL = 100  # characters of a line of the legend
MOST_SHIFT = 0.1  # of the first and the last line along the x axis, as a share of the labels
LEVEL_LINES = ("--", ":", "-.")
UNLABELLED_TICK = 5  # labels per class, on the axis of `overview`: too near to 4


class Line(NamedTuple):
    """A method's label budgets, rising, its mean accuracies and their 95% intervals over trials.

    An interval is the mean alone if there was one trial. untrained: the budgets at which the
    learner ran without training, so that its point is hollow in `overview`. method: lines of one
    method, trained and not, share a colour and a marker in `overview`.
    """

    label: str
    budgets: list[float]
    means: list[float]
    intervals: list[Interval]
    untrained: frozenset[float] = frozenset()
    method: str = ""


class Level(NamedTuple):
    """An accuracy that is no point of a line: that with "all labels" or with "no label"."""

    label: str
    accuracy: float
    labels: str


class Panel(NamedTuple):
    """The lines of one data set against shots or fraction, and levels beside them."""

    data: str
    budget: str
    lines: list[Line]
    levels: list[Level]


def panels(records: Sequence[RunRecord]) -> list[Panel]:
    """Return a panel for each data set and kind of budget that some method has two values of.

    Methods differ by backbone, weights and preset, and where one of them has several records at one
    budget, by the settings in which these differ.
    """
    groups: dict[tuple[str, ...], dict[str, dict[float, RunRecord]]] = {}
    levels: dict[str, dict[str, RunRecord]] = {}
    # Without several numbers of labels per class, which are not one number.
    ordered = [record for record in records if not record.class_shots]
    ordered.sort(key=lambda record: (-len(record.seeds), record.run_id))
    for record, label in zip(ordered, labels.distinct(ordered), strict=True):
        images, kind = record.images, formatting.budget_kind(record)
        if kind == "full" or record.shots == 0:
            levels.setdefault(images, {}).setdefault(label, record)
            continue
        methods = groups.setdefault((images, record.data, kind), {})
        methods.setdefault(label, {})[formatting.budget_amount(record)] = record
    result = []
    for (images, data, kind), methods in sorted(groups.items()):
        if any(len(by_budget) > 1 for by_budget in methods.values()):
            lines = [line_of(label, by_budget) for label, by_budget in sorted(methods.items())]
            result.append(Panel(data, kind, lines, _levels(levels.get(images, {}))))
    return result


def _levels(records: Mapping[str, RunRecord]) -> list[Level]:
    """Return the levels of records under the labels of their runs.

    Without labels, the short name is enough, unless two records share it.
    """
    short = [formatting.short_name(one) for one in records.values() if one.shots == 0]
    levels = []
    for label, record in records.items():
        name = label
        if record.shots == 0:
            name = formatting.short_name(record)
            name = name if short.count(name) == 1 else label.replace(" (no label)", "")
        levels.append(level_of(record, name))
    return sorted(levels)


def level_of(record: RunRecord, label: str) -> Level:
    """Return the accuracy of a record with all labels or with none, under the label of its run."""
    mean = record.scores["accuracy"].mean
    return Level(label, mean, "no label" if record.shots == 0 else "all labels")


def line_of(label: str, by_budget: Mapping[float, RunRecord]) -> Line:
    """Return the line through the accuracies of records at rising budgets."""
    budgets = sorted(by_budget)
    scores = [by_budget[budget].scores["accuracy"] for budget in budgets]
    means = [score.mean for score in scores]
    intervals = [score.over_trials() or Interval(score.mean, score.mean) for score in scores]
    untrained = {budget for budget in budgets if formatting.is_untrained(by_budget[budget])}
    method = by_budget[budgets[0]].method
    return Line(label, budgets, means, intervals, frozenset(untrained), method)


def save(panel: Panel, path: Path) -> list[Path]:
    """Write the panel as path.svg, path.pdf and path.png."""
    return style.save(figure(panel), path)


@style.styled
def figure(panel: Panel) -> Any:
    """Draw accuracy in percent against labels on a logarithmic axis, with 95% intervals.

    The lines are moved apart a little along the x axis, so that intervals do not hide each other.
    """
    # The legend lists the lines in the order in which they end, from the top.
    ordered = sorted(panel.lines, key=lambda line: -line.means[-1])
    names = [*(line.label for line in ordered), *map(_level_label, panel.levels)]
    columns = 1 if max(map(len, names)) > LONGEST_LABEL // 2 else 2
    labels = [
        textwrap.fill(name, LONGEST_LABEL // columns, break_on_hyphens=False) for name in names
    ]
    n_lines = sum(1 + label.count("\n") for label in labels)
    canvas, axes = style.new(3.0 + 0.16 * n_lines / columns)
    for number, (line, label) in enumerate(zip(ordered, labels, strict=False)):
        shift = 1 + MOST_SHIFT * (number - (len(ordered) - 1) / 2) / max(1, len(ordered) - 1)
        pattern = "-" if number < len(style.COLOURS) else "--"  # the colours are used again
        below, above = _arms(line)
        axes.errorbar(
            [budget * shift for budget in line.budgets],
            [100 * mean for mean in line.means],
            [below, above],
            fmt=f"{style.MARKERS[number % len(style.MARKERS)]}{pattern}",
            elinewidth=0.9,
            capsize=1.5,
            label=label,
        )
    for level, label, pattern in zip(
        panel.levels, labels[len(ordered) :], itertools.cycle(LEVEL_LINES)
    ):
        axes.axhline(
            100 * level.accuracy, color=style.GREY, linestyle=pattern, linewidth=1, label=label
        )
    budgets = sorted({budget for line in panel.lines for budget in line.budgets})
    style.label_axis(axes, budgets, panel.budget)
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"{panel.data}: mean and 95% interval over trials")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    canvas.legend(
        [handles[one] for one in labels], labels, loc="outside lower center", ncols=columns
    )
    return canvas


def _level_label(level: Level) -> str:
    return f"{level.label}, {level.labels}"


def _arms(line: Line) -> tuple[list[float], list[float]]:
    """Return how far the intervals of a line reach below and above its means, in percent."""
    ends = list(zip(line.means, line.intervals, strict=True))
    below = [100 * (mean - interval.low) for mean, interval in ends]
    return below, [100 * (interval.high - mean) for mean, interval in ends]


def _draw_levels(axes: Any, levels: Sequence[Level]) -> None:
    """Draw levels as dashed lines across the figure, with their names along them.

    That without labels is as low as the ends of weak lines, so its name ends before them, below it.
    """
    for level in levels:
        end, shift = (0.78, -9) if level.labels == "no label" else (1, 2)
        axes.axhline(100 * level.accuracy, color=style.GREY, linestyle="--", linewidth=1)
        axes.annotate(
            _level_label(level),
            (end, 100 * level.accuracy),
            xycoords=("axes fraction", "data"),
            xytext=(-3, shift),
            textcoords="offset points",
            ha="right",
            fontsize=style.SMALL,
            color=style.GREY,
        )


@style.styled
def overview(lines: Sequence[Line], title: str, levels: Sequence[Level] = ()) -> Any:
    """Draw all methods in one figure, with error bars and a label at the end of each line.

    The points of the methods are moved apart a little along the x axis, so that their intervals
    can be distinguished; the labels on the right are moved apart along the y axis. Points of
    learners that did not train are hollow.
    """
    canvas, axes = style.new(4.4, width=7.0)
    ordered = sorted(lines, key=lambda line: -line.means[-1])
    last = max(line.budgets[-1] for line in lines)
    heights = spread([100 * line.means[-1] for line in ordered], gap=3.4)
    methods = list(dict.fromkeys(line.method or line.label for line in ordered))
    for line, height in zip(ordered, heights, strict=True):
        number = methods.index(line.method or line.label)
        colour = style.COLOURS[number % len(style.COLOURS)]
        shift = 1 + 0.03 * (number - (len(methods) - 1) / 2)
        x = [budget * shift for budget in line.budgets]
        means = [100 * mean for mean in line.means]
        below, above = _arms(line)
        marker = style.MARKERS[number % len(style.MARKERS)]
        axes.errorbar(
            x,
            means,
            [below, above],
            color=colour,
            fmt=f"{marker}-",
            markersize=4.5,
            linewidth=1.3,
            elinewidth=1,
            capsize=2,
        )
        for budget, place, mean in zip(line.budgets, x, means, strict=True):
            if budget in line.untrained:
                axes.plot(place, mean, marker, color=colour, markerfacecolor="white", zorder=3)
        axes.annotate(
            line.label,
            (x[-1], means[-1]),
            xytext=(last * 1.45, height),
            va="center",
            color=colour,
            fontsize=style.LABEL,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.6,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
        )
    _draw_levels(axes, levels)
    budgets = sorted({budget for line in lines for budget in line.budgets})
    style.label_axis(axes, [budget for budget in budgets if budget != UNLABELLED_TICK], "shots")
    axes.set_xlim(budgets[0] * 0.8, last * 1.3)
    axes.set_ylim(top=max(heights) + 3)
    axes.set_ylabel("accuracy, %")
    axes.set_title(title, loc="left")
    return canvas


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return falling heights moved as little as needed for neighbours to be `gap` apart."""
    placed: list[list[float]] = []  # groups of neighbours that touch: [original heights]
    for height in heights:
        placed.append([height])
        while len(placed) > 1 and _bottom(placed[-2], gap) - _top(placed[-1], gap) < gap:
            lower = placed.pop()
            placed[-1] += lower
    return [_top(group, gap) - gap * place for group in placed for place in range(len(group))]


def _top(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) + gap * (len(group) - 1) / 2


def _bottom(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def write(records: Sequence[RunRecord], out: Path) -> list[Path]:
    """Write each panel as accuracy-<data>-<shots|fraction>.svg, .pdf, .png; return the paths."""
    paths: list[Path] = []
    for name, panel in named(records).items():
        io.make_folder(out)
        paths += save(panel, out / name)
    return paths


def named(records: Sequence[RunRecord]) -> dict[str, Panel]:
    """Return each panel by the name of its files: accuracy-<data>-<shots|fraction>."""
    by_name: dict[str, Panel] = {}
    uses: dict[str, int] = {}
    for panel in panels(records):
        name = f"accuracy-{Path(panel.data).name}-{panel.budget}"
        uses[name] = uses.get(name, 0) + 1  # two folders may share a name
        by_name[name if uses[name] == 1 else f"{name}-{uses[name]}"] = panel
    return by_name
