"""Box plots of accuracy over each setting of a search or of a large grid of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fewshot.config import BUDGETS
from fewshot.report.formatting import Cell, Table, counted, number
from fewshot.report.plots import study_plots
from fewshot.report.plots.study_plots import Boxes, Figure
from fewshot.report.studies.results import CellResult, RowResult

AXES = {"lr": "learning rate", "best": "best voters in percent"}
FEWEST_CELLS = 8  # a grid of so many cells is shown by box plots over each of its settings
Fixed = tuple[tuple[str, str], ...]  # the other settings of a panel, as (name, value)


def of_row(row: RowResult) -> list[Figure]:
    """Return box plots of accuracy over each setting of a search or of a large grid.

    A search shows each setting with all others fixed; a grid shows it over all values of the
    others.
    """
    cells = [cell for cell in row.scored if cell.values]
    searched = row.row.kind == "search"
    if not searched and len(cells) < FEWEST_CELLS:
        return []
    figures = []
    for key in dict.fromkeys(key for cell in cells for key in cell.values):
        is_network = searched and "." not in key  # the axis of networks, each of which is searched
        if is_network or key in BUDGETS:
            continue
        panels = _panels(key, cells, searched)
        if panels and (searched or len(_varied(cells)) > 1):
            figures.append(_box_figure(row, key, panels, searched))
    return figures


def _varied(cells: Sequence[CellResult]) -> list[str]:
    keys = dict.fromkeys(key for cell in cells for key in cell.values)
    return [key for key in keys if len({str(cell.values.get(key)) for cell in cells}) > 1]


def _panels(key: str, cells: Sequence[CellResult], searched: bool) -> list[Boxes]:
    by_others: dict[Fixed, dict[str, list[float]]] = {}
    stand_ins: dict[Fixed, dict[str, None]] = {}
    for cell in cells:
        if key not in cell.values:
            continue
        others = tuple(
            (other, _short(value))
            for other, value in cell.values.items()
            if other != key and searched
        )
        accuracies = [100 * value for value in cell.accuracy.values]
        by_value = by_others.setdefault(others, {})
        value = _short(cell.values[key]) + ("\n(not trained)" if cell.untrained else "")
        by_value.setdefault(value, []).extend(accuracies)
        stand_ins.setdefault(others, {})[cell.stand_in] = None
    compared = {others: values for others, values in by_others.items() if len(values) > 1}
    setting = _axis_name(key)
    return [
        Boxes(_title(others, list(compared), list(stand_ins[others])), setting, values)
        for others, values in compared.items()
    ]


def _title(others: Fixed, every: Sequence[Fixed], stand_ins: Sequence[str]) -> str:
    """Return the settings in which a panel differs from its neighbours, and what ran there."""
    differing = [pair for pair in others if any(pair not in panel for panel in every)]
    title = ", ".join(f"{_axis_name(key)} {value}" for key, value in differing)
    place = stand_ins[0] if len(stand_ins) == 1 else ""
    return "\n".join(filter(None, [title, place]))


def _axis_name(key: str) -> str:
    """Return a setting in words: "train.lr" is "learning rate"."""
    name = key.removesuffix(".name").rpartition(".")[2]
    return AXES.get(name, name.replace("_", " "))


def _short(value: Any) -> str:
    """Return a setting in short: of a list of augmentations, for example, their names."""
    if isinstance(value, list):
        items = [next(iter(item.values())) if isinstance(item, Mapping) else item for item in value]
        return " ".join(map(_short, items)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _box_figure(row: RowResult, key: str, panels: Sequence[Boxes], searched: bool) -> Figure:
    rows = []
    for panel in panels:
        for value, accuracies in panel.values.items():
            quantiles = np.quantile(accuracies, (0, 0.25, 0.5, 0.75, 1))
            head = [Cell(panel.title), Cell(value), number(len(accuracies), "d")]
            rows.append([*head, *(number(quantile, ".2f") for quantile in quantiles)])
    setting = _axis_name(key)
    how = "the other settings fixed" if searched else "all values of the other settings"
    columns = ["panel", setting, "trials", "minimum", "1st quartile", "median", "3rd quartile"]
    alt = (
        f"Box plots of test accuracy by {setting} in {row.name}, {how}, "
        f"{counted(len(panels), 'panel')}."
    )
    table = Table("accuracy in percent", [*columns, "maximum"], rows, [])
    title = f"{row.name}: accuracy by {setting}, {how}"
    name = f"{row.name}-{setting.replace(' ', '-')}"
    return Figure(name, title, alt, table, partial(study_plots.boxes, panels))
