"""Figures over the settings of a row: box plots of accuracy, bars of a benchmark's times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fewshot.report.plots import study_plots as study_drawing
from fewshot.report.studies.results import Measured, Told
from fewshot.report.studies.tables import Cell, Table, number
from fewshot.report.plots.study_plots import Boxes, Figure
from fewshot.config import BUDGETS

FEWEST_CELLS = 8  # from here on a grid is shown by box plots over each of its settings


def box_plots(told: Told) -> list[Figure]:
    """A search: each setting with all else held; a large grid: each setting over all values of the others."""
    cells = [cell for cell in told.cells if cell.scored and cell.values]
    searched = told.plan.kind == "search"
    if not searched and len(cells) < FEWEST_CELLS:
        return []
    figures = []
    for key in dict.fromkeys(key for cell in cells for key in cell.values if key not in BUDGETS):
        if searched and "." not in key:  # the networks that are searched
            continue
        panels = _panels(key, cells, searched)
        if panels and (searched or len(_varied(cells)) > 1):
            figures.append(_box_figure(told, key, panels, searched))
    return figures


def _varied(cells: Sequence[Measured]) -> list[str]:
    keys = dict.fromkeys(key for cell in cells for key in cell.values)
    return [key for key in keys if len({str(cell.values.get(key)) for cell in cells}) > 1]


def _panels(key: str, cells: Sequence[Measured], searched: bool) -> list[Boxes]:
    held: dict[tuple[tuple[str, str], ...], dict[str, list[float]]] = {}
    for cell in cells:
        if key in cell.values:
            rest = tuple(
                (other, _short(value))
                for other, value in cell.values.items()
                if other != key and searched
            )
            accuracies = [
                100 * value for value in (cell.record or {})["scores"]["accuracy"]["values"]
            ]
            held.setdefault(rest, {}).setdefault(_short(cell.values[key]), []).extend(accuracies)
    found = {rest: values for rest, values in held.items() if len(values) > 1}
    return [
        Boxes(_title(rest, list(found)), key.rpartition(".")[2], values)
        for rest, values in found.items()
    ]


def _title(rest: tuple[tuple[str, str], ...], every: Sequence[tuple[tuple[str, str], ...]]) -> str:
    """What tells a panel from its neighbours."""
    return ", ".join(
        f"{key.rpartition('.')[2]} {value}"
        for key, value in rest
        if any((key, value) not in each for each in every)
    )


def _short(value: Any) -> str:
    if isinstance(value, list):
        return (
            " ".join(
                _short(next(iter(each.values())) if isinstance(each, Mapping) else each)
                for each in value
            )
            or "none"
        )
    return f"{value:g}" if isinstance(value, float) else str(value)


def _box_figure(told: Told, key: str, panels: Sequence[Boxes], searched: bool) -> Figure:
    rows = [
        [
            Cell(panel.title),
            Cell(value),
            number(len(found), "d"),
            *(number(each, ".2f") for each in np.quantile(found, (0, 0.25, 0.5, 0.75, 1))),
        ]
        for panel in panels
        for value, found in panel.values.items()
    ]
    name = key.rpartition(".")[2]
    how = "with the other settings held" if searched else "over all values of the other settings"
    columns = ["panel", name, "draws", "least", "first quarter", "median", "third quarter", "most"]
    alt = f"Box plots of test accuracy by {name} in {told.name}, {how}, {len(panels)} panel{'s' * (len(panels) > 1)}."
    table = Table("accuracy in percent", columns, rows, [])
    title = f"{told.name}: accuracy by {name}, {how}"
    return Figure(
        f"{told.name}-{name.replace('_', '-')}",
        title,
        alt,
        table,
        partial(study_drawing.boxes, panels),
    )


def benchmarks(told: Told) -> list[Figure]:
    """Bars of the first column that is a time, one for each row of the benchmark."""
    figures: list[Figure] = []
    for cell in told.cells:
        record = cell.record
        if record is None or cell.scored:
            continue
        timed = next(
            (place for place, name in enumerate(record["columns"]) if "second" in name), None
        )
        if timed is None or len(record["rows"]) < 2:
            continue
        values = [float(row[timed]) for row in record["rows"]]
        labels = [_settings(record["columns"][:timed], row) for row in record["rows"]]
        quantity = record["columns"][timed]
        least, most = (place(values) for place in (np.argmin, np.argmax))
        ends = (
            f"least {values[least]:.3g} ({labels[least]}), most {values[most]:.3g} ({labels[most]})"
        )
        rows = [
            [Cell(label), number(value, "g")] for label, value in zip(labels, values, strict=True)
        ]
        name = f"{told.name}-times" + (f"-{len(figures) + 1}" if figures else "")
        table = Table(record["what"], ["settings", quantity], rows, [])
        draw = partial(study_drawing.bars, labels, values, quantity)
        figures.append(
            Figure(name, f"{told.name}: {quantity}", f"Bars of {quantity}: {ends}.", table, draw)
        )
    return figures


def _settings(columns: Sequence[str], row: Sequence[Any]) -> str:
    words = [
        f"{name} {('no', 'yes')[value] if isinstance(value, bool) else value}"
        for name, value in zip(columns, row, strict=False)
    ]
    return ", ".join(words)
