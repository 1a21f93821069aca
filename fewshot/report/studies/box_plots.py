"""Box plots of accuracy over each setting of a search or of a large grid of a study.

A panel never mixes images, numbers of labels or networks, unless its boxes are the networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from fewshot.config import BUDGETS
from fewshot.report.formatting import Cell, Table, counted, number
from fewshot.report.plots import setting_plots
from fewshot.report.plots.setting_plots import Boxes
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies import results, settings
from fewshot.report.studies.results import CellResult, RowResult
from fewshot.report.studies.settings import Alike

Fixed = tuple[tuple[str, str], ...]  # the other settings of a panel, as (axis, value)
FEWEST_CELLS = 8  # a grid of so many cells is shown by box plots over each of its settings


def of_row(row: RowResult) -> list[Figure]:
    """Return box plots of accuracy over each setting of a search or of a large grid.

    A search shows each setting with all others fixed, a figure each; a grid shows its settings in
    the panels of one figure, each over all values of the others.
    """
    cells = [cell for cell in row.scored if cell.values]
    if row.row.kind == "search":
        return _of_search(row, cells)
    axes = settings.varied(cells)
    if len(cells) < FEWEST_CELLS or len(axes) < 2:
        return []
    panels = [panel for key in axes for panel in _of_axis(row, key, cells)]
    return [_figure(row, "settings", "each setting", panels, "all values")] if panels else []


def _of_axis(row: RowResult, key: str, cells: Sequence[CellResult]) -> list[Boxes]:
    """Return a panel for each group of cells that have several values of an axis."""
    cells = [cell for cell in cells if key in cell.values]
    groups = settings.alike(cells)
    if key == settings.network_axis(cells):
        by_images = results.groups(cells)
        groups = {Alike(group, ""): some for group, some in by_images.items()}
    titles = settings.titles(row, groups)
    return [
        _panel(row, key, titles[alike], some)
        for alike, some in groups.items()
        if key in settings.varied(some)
    ]


def _panel(row: RowResult, key: str, title: str, cells: Iterable[CellResult]) -> Boxes:
    ordered = sorted(cells, key=lambda cell: _rank(cell.values[key]))
    values: dict[str, list[float]] = {}
    for cell in ordered:
        words = settings.value(cell.values[key]) + ("\n(not trained)" if cell.untrained else "")
        values.setdefault(words, []).extend(100 * one for one in cell.accuracy.values)
    return Boxes(title, settings.name(row, key), values)


def _rank(value: object) -> float:
    """Return a number as itself; names stay in their order."""
    return float(value) if isinstance(value, int | float) else 0.0


def _of_search(row: RowResult, cells: Sequence[CellResult]) -> list[Figure]:
    figures = []
    for key in dict.fromkeys(key for cell in cells for key in cell.values):
        if key in BUDGETS or "." not in key:  # the axis of networks, each of which is searched
            continue
        panels = _of_step(row, key, [cell for cell in cells if key in cell.values])
        if panels:
            setting = settings.name(row, key)
            figures.append(_figure(row, setting, setting, panels, "fixed"))
    return figures


def _of_step(row: RowResult, key: str, cells: Sequence[CellResult]) -> list[Boxes]:
    """Return a panel for each start of a search: the cells that differ in one setting alone."""
    groups: dict[tuple[Alike, Fixed], list[CellResult]] = {}
    for alike, some in settings.alike(cells).items():
        for cell in some:
            others = tuple(
                (other, settings.value(value))
                for other, value in cell.values.items()
                if other != key
            )
            groups.setdefault((alike, others), []).append(cell)
    groups = {fixed: some for fixed, some in groups.items() if key in settings.varied(some)}
    budgets = settings.in_words([alike.group for alike, _ in groups])
    panels = []
    for (alike, fixed), some in sorted(groups.items(), key=lambda one: cells.index(one[1][0])):
        differing = [pair for pair in fixed if any(pair not in others for _, others in groups)]
        words = [f"{settings.name(row, other)} {text}" for other, text in differing]
        words += filter(None, [budgets[alike.group]])
        places = {cell.stand_in for cell in some}
        place = places.pop() if len(places) == 1 else ""
        title = "\n".join(filter(None, [", ".join(words), place]))
        panels.append(_panel(row, key, title, some))
    return panels


def _figure(row: RowResult, name: str, what: str, panels: Sequence[Boxes], others: str) -> Figure:
    rows = []
    for panel in panels:
        for value, accuracies in panel.values.items():
            quantiles = np.quantile(accuracies, (0, 0.25, 0.5, 0.75, 1))
            words = [Cell(panel.title), Cell(panel.setting), Cell(value)]
            numbers = [number(quantile, ".2f") for quantile in quantiles]
            rows.append([*words, number(len(accuracies), "d"), *numbers])
    how = {"fixed": "the other settings fixed", "all values": "all values of the other settings"}
    columns = ["panel", "setting", "value", "trials", "minimum", "1st quartile", "median"]
    alt = (
        f"Box plots of test accuracy by {what} in {row.name}, {how[others]}, "
        f"{counted(len(panels), 'panel')}."
    )
    table = Table("accuracy in percent", [*columns, "3rd quartile", "maximum"], rows, [])
    title = f"{row.name}: accuracy by {what}, {how[others]}"
    save = partial(setting_plots.boxes, panels)
    return Figure(settings.slug(row.name, name), title, alt, table, save)
