"""Which figures a study has, from its results alone: each with words and numbers that say what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from fewshot.report.plots import classes, accuracy_curves as curves, study_plots as study_drawing
from fewshot.report.studies import results as gathered, setting_figures
from fewshot.report.studies.results import Measured, Study, Told
from fewshot.report.studies.tables import SMOKE, Cell, Table, number
from fewshot.report.plots.study_plots import Dot, Figure, Series
from fewshot.config import BUDGETS

MOST_LINES = 8  # of a figure of accuracy against labels
MOST_CURVES = 4  # cells in a figure of learning curves


def of_study(study: Study) -> list[Figure]:
    """Reported beside measured, and accuracy against the number of labels."""
    return [*_beside_reported(study), *_against_labels(study)]


def of_row(told: Told) -> list[Figure]:
    """A confusion matrix, learning curves, box plots over settings, times of a benchmark, where the row has them."""
    return [
        *_confusion(told), *_learning(told), *setting_figures.box_plots(told), *setting_figures.benchmarks(told)
    ]  # fmt: skip


def _beside_reported(study: Study) -> list[Figure]:
    pairs = [
        (Dot(f"{told.name} {cell.label}", 100 * cell.reported["accuracy"], 100 * score["mean"],
             100 * (score["ci95"] or 0.0)))
        for told in study.rows
        for cell in told.cells
        if study.scale != SMOKE and cell.scored and "accuracy" in cell.reported
        for score in [(cell.record or {})["scores"]["accuracy"]]
    ]  # fmt: skip
    if len(pairs) < 2:
        return []
    rows = [[Cell(each.label), *(number(value, ".2f") for value in each[1:])] for each in pairs]
    table = Table("accuracy in percent", ["cell", "reported", "measured", "± 95%"], rows, [])
    higher = sum(each.measured > each.reported for each in pairs)
    alt = f"Dot plot of {len(pairs)} test accuracies beside the reported ones; {higher} lie above them."
    return [
        Figure(
            "reported", "Measured beside reported", alt, table, partial(study_drawing.dots, pairs)
        )
    ]


def _against_labels(study: Study) -> list[Figure]:
    lines: dict[tuple[str, str, str], dict[str, dict[float, Measured]]] = {}
    full: dict[str, list[tuple[float, str]]] = {}
    for told in study.rows:
        for group, cells in gathered.groups(told.cells).items():
            for cell in cells:
                label = _line_label(told, cell)
                if group.kind == "full":
                    full.setdefault(group.fingerprint, []).append((gathered.mean(cell), label))
                else:
                    kinds = lines.setdefault((group.fingerprint, group.data, group.kind), {})
                    kinds.setdefault(label, {})[group.budget] = cell
    figures: list[Figure] = []
    for (images, data, kind), found in lines.items():
        drawn = [
            _line(label, by_budget) for label, by_budget in found.items() if len(by_budget) > 1
        ]
        if not drawn:
            continue
        levels = [(label, accuracy) for accuracy, label in sorted(full.get(images, []))[-1:]]
        best = sorted(drawn, key=lambda each: -each.means[-1])[:MOST_LINES]
        named = f"labels-{kind}" + (
            "" if not any(each.name == f"labels-{kind}" for each in figures) else f"-{data}"
        )
        figures.append(_label_figure(named, curves.Panel(data, kind, best, levels), len(drawn)))
    return figures


def _line_label(told: Told, cell: Measured) -> str:
    rest = {key: value for key, value in cell.values.items() if key not in BUDGETS}
    words = [f"{key.rpartition('.')[2]} {value}" for key, value in rest.items()]
    return ", ".join([f"{told.name} {told.plan.title}", *words])


def _line(label: str, by_budget: dict[float, Measured]) -> curves.Line:
    budgets = sorted(by_budget)
    scores = [(by_budget[each].record or {})["scores"]["accuracy"] for each in budgets]
    return curves.Line(
        label, budgets, [each["mean"] for each in scores], [each["ci95"] or 0.0 for each in scores]
    )


def _label_figure(name: str, panel: curves.Panel, of: int) -> Figure:
    unit = "labelled images a class" if panel.budget == "shots" else "share of the training images"
    rows = [
        [
            Cell(line.label),
            number(budget, "g"),
            number(100 * mean, ".2f"),
            number(100 * half, ".2f"),
        ]
        for line in panel.lines
        for budget, mean, half in zip(line.budgets, line.means, line.halves, strict=True)
    ] + [
        [Cell(label), Cell("all"), number(100 * accuracy, ".2f"), Cell()]
        for label, accuracy in panel.levels
    ]
    some = f", the best {len(panel.lines)} of {of} lines" if of > len(panel.lines) else ""
    best = panel.lines[0]
    alt = (
        f"Accuracy on {panel.data} against the {unit}, {len(panel.lines)} lines with 95% intervals; highest at the end "
        f"is {best.label} with {100 * best.means[-1]:.1f}% at {best.budgets[-1]:g}."
    )
    alt += "".join(
        f" With all labels {label} has {100 * accuracy:.1f}%." for label, accuracy in panel.levels
    )
    table = Table("accuracy in percent", ["line", unit, "accuracy", "± 95%"], rows, [])
    return Figure(
        name,
        f"Accuracy against the {unit}{some}",
        alt,
        table,
        partial(study_drawing.budgets, panel),
    )


def _learning(told: Told) -> list[Figure]:
    """Loss and accuracy over the epochs, of the best cells that kept their curves."""
    kept = [cell for cell in told.cells if cell.curves and cell.scored]
    shown = sorted(kept, key=lambda cell: -gathered.mean(cell))[:MOST_CURVES]
    panels: dict[str, list[Series]] = {}
    rows = []
    for cell in shown:
        for name, draws in (cell.curves or {}).items():
            if name == "epoch" or not draws:
                continue
            part, _, quantity = name.rpartition("_")
            series = _series(
                cell.label, (cell.curves or {})["epoch"], draws, dashed=part == "train"
            )
            panels.setdefault(quantity, []).append(series)
            middle, spread = study_drawing.over_draws(series.draws)
            last = int(np.flatnonzero(~np.isnan(middle))[-1])
            rows.append([
                Cell(cell.label), Cell(name.replace("_", " ")), number(len(series.draws), "d"),
                number(middle[0], ".4f"), number(middle[last], ".4f"), number(spread[last], ".4f"),
                number(series.epochs[last], "g"),
            ])  # fmt: skip
    if not any(len(each.epochs) > 1 for series in panels.values() for each in series):
        return []
    kinds = {each: {one.dashed for one in series} for each, series in panels.items()}
    words = {
        each: f"{each} of training images" if kinds[each] == {True} else each for each in panels
    }
    words |= {
        each: f"{each} (dashed: training images)" for each in panels if kinds[each] == {True, False}
    }
    panels = {words[each]: series for each, series in panels.items()}
    columns = ["cell", "curve", "draws", "first", "last", "std of the last", "epoch of the last"]
    some = f", the best {len(shown)} of {len(kept)} cells" if len(kept) > len(shown) else ""
    alt = (
        f"{' and '.join(panels).capitalize()} over the epochs of {told.name}, {len(shown)} "
        f"{'cell' if len(shown) == 1 else 'cells'}: mean over draws, standard deviation shaded, each draw faint."
    )
    table = Table("first and last epoch, mean over draws", columns, rows, [])
    title = f"{told.name}: learning curves{some}"
    return [
        Figure(f"{told.name}-curves", title, alt, table, partial(study_drawing.learning, panels))
    ]


def _confusion(told: Told) -> list[Figure]:
    """Of the best cell, where the row asks for it."""
    scored = [cell for cell in told.cells if cell.scored]
    if not told.plan.confusion or not scored:
        return []
    best = max(scored, key=gathered.mean)
    record = best.record or {}
    pairs = classes.confused(record)
    rows = [
        [
            Cell(pair.true),
            Cell(pair.predicted),
            number(pair.images, "d"),
            number(100 * pair.share, ".1f"),
        ]
        for pair in pairs
    ]
    columns = ["true class", "taken for", "images, all draws", "% of the true class"]
    table = Table("the most frequent mistakes", columns, rows, [])
    title = f"{told.name}: confusion matrix, {best.label}"
    draw = partial(study_drawing.confusion, record)
    return [Figure(f"{told.name}-confusion", title, classes.in_words(pairs), table, draw)]


def _series(
    label: str, epochs: Sequence[float], draws: Sequence[Sequence[float | None]], dashed: bool
) -> Series:
    """Draws of different lengths (they may stop early) as one array, NaN where there is nothing."""
    array = np.full((len(draws), len(epochs)), np.nan)
    for row, draw in enumerate(draws):
        array[row, : len(draw)] = [np.nan if value is None else value for value in draw]
    return Series(label, list(epochs), array, dashed)
