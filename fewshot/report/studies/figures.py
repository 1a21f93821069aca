"""Which figures a study has, from its results alone, each with its description and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fewshot.evaluation.statistics import Interval
from fewshot.report.formatting import Cell, Table, counted, current_words, number, short_name
from fewshot.report.plots import accuracy_curves, classes, study_plots
from fewshot.report.plots.accuracy_curves import Level, Line, Panel
from fewshot.report.plots.study_plots import Dot, Figure
from fewshot.report.studies import box_plots, epochs, explained, heat_maps, reported, results
from fewshot.report.studies.reported import Stated
from fewshot.report.studies.results import CellResult, RowResult, Study

MOST_LINES = 8  # in a figure of accuracy against labels


def of_study(study: Study) -> list[Figure]:
    """Return reported beside measured accuracies, and accuracy against the number of labels."""
    return [] if study.explains else [*_beside_reported(study), *_against_labels(study)]


def of_row(row: RowResult) -> list[Figure]:
    """Return the figures of a row, as far as it has what they show; each has its own name."""
    every = [
        *explained.figures(row),
        *_confusion(row),
        *epochs.of_row(row),
        *heat_maps.of_row(row),
        *box_plots.of_row(row),
        *benchmarks(row),
    ]
    names: list[str] = []
    for figure in every:
        uses = sum(name == figure.name for name in names)
        names.append(figure.name)
        if uses:
            every[len(names) - 1] = figure._replace(name=f"{figure.name}-{uses + 1}")
    return every


def _beside_reported(study: Study) -> list[Figure]:
    rows_by_name = {row.name: row for row in study.rows}
    numbers = reported.stated(study) if not study.smoke else []
    numbers = [one for one in numbers if one.metric == "accuracy"]
    dots = [_dot(one, rows_by_name[one.row]) for one in numbers]
    if len(dots) < 2:
        return []
    rows = []
    for dot, one in zip(dots, numbers, strict=True):
        values = [number(value, ".2f") for value in (dot.reported, dot.measured)]
        words = [Cell(one.row), Cell(dot.label), Cell(one.stand_in), Cell(dot.scale)]
        rows.append([*words, *values, _interval(dot.interval)])
    columns = ["row", "setting", "in the report's place", "scale", "reported", "measured"]
    table = Table("accuracy in percent", [*columns, "95% interval"], rows, [])
    higher = sum(dot.measured > dot.reported for dot in dots)
    others = sum(dot.stand_in for dot in dots)
    alt = (
        f"Dot plot of {len(dots)} test accuracies beside the reported ones; {higher} are higher "
        "than reported."
    )
    if others:
        alt += f" {others} are stand-ins: another network takes the place of the report's."
    title = "Measured beside reported accuracy"
    return [Figure("reported", title, alt, table, partial(study_plots.dots, dots))]


def _dot(one: Stated, row: RowResult) -> Dot:
    """Return the lowest of the measured accuracies beside their reported number."""
    cell = one.lowest.cell
    interval = cell.accuracy.over_trials() or (cell.mean, cell.mean)
    low, high = (100 * end for end in interval)
    return Dot(
        row=f"{one.row} {row.row.title_at(cell.scale)}",
        label=one.stand_in if cell.name == "all" else one.lowest.label,  # "all": no settings
        reported=100 * one.number,
        measured=100 * cell.mean,
        interval=Interval(low, high),
        stand_in=bool(one.stand_in),
        scale=cell.scale,
    )


def _interval(interval: Interval, scale: float = 1.0) -> Cell:
    """Return an interval over trials, times `scale`; nothing for that of a single trial."""
    low, high = interval
    return Cell(interval.text(".2f", scale), low) if low < high else Cell()


def _against_labels(study: Study) -> list[Figure]:
    lines: dict[tuple[str, str, str], dict[str, dict[float, CellResult]]] = {}
    full: dict[str, list[tuple[float, str]]] = {}
    for row in study.rows:
        for group, cells in results.groups(row.cells).items():
            for cell in cells:
                label = _line_label(row, cell)
                if group.kind == "full":
                    full.setdefault(group.fingerprint, []).append((cell.mean, label))
                else:
                    same_axis = lines.setdefault((group.fingerprint, group.data, group.kind), {})
                    same_axis.setdefault(label, {})[group.amount] = cell
    figures: list[Figure] = []
    for (images, data, kind), by_label in lines.items():
        drawn = [_line(label, cells) for label, cells in by_label.items() if len(cells) > 1]
        if not drawn:
            continue
        best_full = sorted(full.get(images, []))[-1:]
        levels = [Level(label, accuracy, "all labels") for accuracy, label in best_full]
        levels += [
            accuracy_curves.level_of(one, short_name(one)) for one in study.unlabelled_on(images)
        ]
        best = sorted(drawn, key=lambda line: -line.means[-1])[:MOST_LINES]
        name = f"labels-{kind}"
        if any(figure.name == name for figure in figures):
            name += f"-{data}"
        figures.append(_label_figure(name, Panel(data, kind, best, levels), len(drawn)))
    return figures


def _line_label(row: RowResult, cell: CellResult) -> str:
    settings = {one.setting for one in row.scored if row.system(one) == row.system(cell)}
    words = [f"{row.name} {row.system(cell)}", cell.setting if len(settings) > 1 else ""]
    words += [f"scale {cell.scale}"] if len(row.scales) > 1 else []
    return ", ".join(filter(None, words))


def _line(label: str, cells: Mapping[float, CellResult]) -> Line:
    return accuracy_curves.line_of(label, {amount: cell.measured for amount, cell in cells.items()})


def _label_figure(name: str, panel: Panel, total: int) -> Figure:
    unit = "labels per class" if panel.budget == "shots" else "share of the training images"
    rows = []
    for line in panel.lines:
        for budget, mean, interval in zip(line.budgets, line.means, line.intervals, strict=True):
            values = [number(budget, "g"), number(100 * mean, ".2f"), _interval(interval, 100)]
            rows.append([Cell(line.label), *values])
    for level in panel.levels:
        words = [Cell(level.label), Cell(level.labels)]
        rows.append([*words, number(100 * level.accuracy, ".2f"), Cell()])
    some = f", the best {len(panel.lines)} of {total} lines" if total > len(panel.lines) else ""
    best = panel.lines[0]
    alt = (
        f"Accuracy on {panel.data} against the {unit}: {counted(len(panel.lines), 'line')} with "
        f"95% intervals. The highest at the end is {best.label} with {100 * best.means[-1]:.1f}% "
        f"at {best.budgets[-1]:g}."
    )
    for level in panel.levels:
        alt += f" With {level.labels}, {level.label} has {100 * level.accuracy:.1f}%."
    table = Table("accuracy in percent", ["line", unit, "accuracy", "95% interval"], rows, [])
    title = f"Accuracy against the {unit}{some}"
    return Figure(name, title, alt, table, partial(study_plots.budgets, panel))


def _confusion(row: RowResult) -> list[Figure]:
    """Return the confusion matrix of the best cell, if the row asks for it."""
    if not row.row.confusion or not row.scored:
        return []
    best = results.best(row.scored)
    pairs = classes.confused(best.measured)
    rows = []
    for pair in pairs:
        share = number(100 * pair.share, ".1f")
        rows.append(
            [Cell(pair.true), Cell(pair.predicted), number(round(pair.images, 1), ",g"), share]
        )
    images = classes.images_heading(best.measured)
    columns = ["true class", "predicted as", images, "% of the true class"]
    table = Table("the most frequent mistakes", columns, rows, [])
    name = f"{best.stand_in or best.measured.backbone}, {best.label}"
    title = f"{row.name}: confusion matrix, {name}"
    save = partial(study_plots.confusion, best.measured, f"{row.name}, {name}")
    return [Figure(f"{row.name}-confusion", title, classes.in_words(pairs), table, save)]


def benchmarks(row: RowResult) -> list[Figure]:
    """Return bars of the first column of a benchmark that is a time."""
    figures: list[Figure] = []
    for cell in row.cells:
        if cell.benchmark is None:
            continue
        names = [current_words(name) for name in cell.benchmark["columns"]]
        lines = cell.benchmark["rows"]
        timed = next((index for index, name in enumerate(names) if "second" in name), None)
        if timed is None or len(lines) < 2:
            continue
        values = [float(line[timed]) for line in lines]
        varied = [index for index in range(timed) if len({line[index] for line in lines}) > 1]
        labels = [
            _settings([names[index] for index in varied], [line[index] for index in varied])
            for line in lines
        ]
        least, most = int(np.argmin(values)), int(np.argmax(values))
        alt = (
            f"Bars of {names[timed]}: least {values[least]:.3g} ({labels[least]}), most "
            f"{values[most]:.3g} ({labels[most]})."
        )
        rows = [
            [Cell(label), number(value, "g")] for label, value in zip(labels, values, strict=True)
        ]
        name = f"{row.name}-times" + (f"-{len(figures) + 1}" if figures else "")
        table = Table(current_words(cell.benchmark["what"]), ["settings", names[timed]], rows, [])
        save = partial(study_plots.bars, labels, values, names[timed])
        figures.append(Figure(name, f"{row.name}: {names[timed]}", alt, table, save))
    return figures


def _settings(names: Sequence[str], values: Sequence[Any]) -> str:
    """Return settings in words; a name such as "DataLoader" stands without that of its column."""
    words = []
    for name, value in zip(names, values, strict=True):
        text = ("no", "yes")[value] if isinstance(value, bool) else current_words(str(value))
        named = isinstance(value, str) and value not in ("no", "yes")
        words.append(text if named else f"{name} {text}")
    return ", ".join(words)
