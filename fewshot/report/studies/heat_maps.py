"""Heat maps of mean accuracy over two or more numeric settings of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from fewshot.report.formatting import Cell, Table, number
from fewshot.report.plots import setting_plots
from fewshot.report.plots.setting_plots import Heat, Scale
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies import settings
from fewshot.report.studies.results import CellResult, Group, RowResult

FEWEST_CELLS = 6  # of a heat map
MOST_BESIDE = 2  # settings along the vertical side; more become panels
FEWEST_FILLED = 0.8  # share of the combinations that were measured; fewer are no grid


def of_row(row: RowResult) -> list[Figure]:
    """Return a heat map for each block of a grid with two numeric settings, at each budget."""
    if row.row.kind != "grid":
        return []
    blocks: dict[tuple[Group, tuple[str, ...]], list[CellResult]] = {}
    for alike, cells in settings.alike(row.scored).items():
        for cell in cells:
            blocks.setdefault((alike.group, tuple(cell.values)), []).append(cell)
    figures = []
    words = settings.in_words([group for group, _ in blocks])
    for (group, _), cells in blocks.items():
        figures += _of_block(row, words[group], cells)
    return figures


def _of_block(row: RowResult, budget: str, cells: Sequence[CellResult]) -> list[Figure]:
    axes = settings.varied(cells)
    numeric = [key for key in axes if all(_is_number(cell.values.get(key)) for cell in cells)]
    if len(numeric) < 2 or len(cells) < FEWEST_CELLS:
        return []
    across = max(numeric, key=lambda key: len(_values(cells, key)))
    beside = [key for key in numeric if key != across][:MOST_BESIDE]
    apart = [key for key in axes if key not in (across, *beside)]
    columns, lines = _combinations(cells, [across]), _combinations(cells, beside)
    panels = [
        Heat(_words(row, apart, others), _means(cells, dict(zip(apart, others, strict=True)),
                                                (across, columns), (beside, lines)))
        for others in _combinations(cells, apart)
    ]  # fmt: skip
    filled = np.mean([np.isfinite(panel.means) for panel in panels])
    if filled < FEWEST_FILLED:
        return []
    x = Scale(settings.name(row, across), [settings.value(one) for (one,) in columns])
    one = len(beside) == 1
    words = settings.name(row, beside[0]) if one else ""
    y = Scale(words, [settings.value(v[0]) if one else _words(row, beside, v) for v in lines])
    return [_figure(row, budget, panels, x, y, [settings.name(row, key) for key in beside])]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _values(cells: Sequence[CellResult], key: str) -> list[Any]:
    """Return the values of an axis: numbers rising, names in their order."""
    values = list(dict.fromkeys(cell.values[key] for cell in cells))
    return sorted(values) if all(map(_is_number, values)) else values


def _combinations(cells: Sequence[CellResult], keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the measured combinations of the values of some axes, in the order of the values."""
    ranks = {key: _values(cells, key) for key in keys}
    every = dict.fromkeys(tuple(cell.values[key] for key in keys) for cell in cells)
    return sorted(
        every,
        key=lambda values: [ranks[key].index(v) for key, v in zip(keys, values, strict=True)],
    )


def _means(
    cells: Sequence[CellResult],
    fixed: dict[str, Any],
    x: tuple[str, list[tuple[Any, ...]]],
    y: tuple[Sequence[str], list[tuple[Any, ...]]],
) -> np.ndarray:
    """Return the mean accuracies in percent of the cells with these fixed values."""
    (across, columns), (beside, lines) = x, y
    means = np.full((len(lines), len(columns)), np.nan)
    for cell in cells:
        if all(cell.values[key] == value for key, value in fixed.items()):
            line = lines.index(tuple(cell.values[key] for key in beside))
            means[line, columns.index((cell.values[across],))] = 100 * cell.mean
    return means


def _words(row: RowResult, keys: Sequence[str], values: Sequence[Any]) -> str:
    return ", ".join(
        settings.with_name(row, key, value) for key, value in zip(keys, values, strict=True)
    )


def _figure(
    row: RowResult, budget: str, panels: Sequence[Heat], x: Scale, y: Scale, beside: Sequence[str]
) -> Figure:
    rows = []
    for panel in panels:
        for (line, column), mean in np.ndenumerate(panel.means):
            words = [Cell(panel.title), Cell(y.values[line]), Cell(x.values[column])]
            rows.append([*words, number(mean, ".2f") if np.isfinite(mean) else Cell()])
    every = np.concatenate([panel.means.ravel() for panel in panels])
    best = int(np.nanargmax(every))
    names = [*beside, x.setting]
    title = f"{row.name}: mean accuracy by {', '.join(names[:-1])} and {names[-1]}"
    if budget:
        title += f", {budget}"
    described = ", ".join(cell.text for cell in rows[best][:3] if cell.text)
    alt = (
        f"Heat map. {title}. From {np.nanmin(every):.1f}% to {every[best]:.1f}%, the highest with "
        f"{described}."
    )
    table = Table(
        "mean accuracy in percent", ["panel", y.setting or "settings", x.setting, "mean"], rows, []
    )
    save = partial(setting_plots.heat_maps, panels, x, y)
    return Figure(settings.slug(row.name, *names, budget), title, alt, table, save)
