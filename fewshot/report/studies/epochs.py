"""Loss and accuracy over the epochs of the best settings of a row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from fewshot.report.formatting import Cell, Table, counted, number
from fewshot.report.plots import epoch_curves
from fewshot.report.plots.epoch_curves import Panel, Series
from fewshot.report.plots.study_plots import Figure
from fewshot.report.plots.training_curves import without_short_end
from fewshot.report.studies import results
from fewshot.report.studies.results import CellResult, RowResult

MOST_CURVES = 4  # cells in a figure


def of_row(row: RowResult) -> list[Figure]:
    """Return loss and accuracy over the epochs of the best cells that saved their curves.

    They are those of the highest scale that has curves.
    """
    saved = [cell for cell in row.scored if cell.curves]
    scales = results.scales_of(saved)  # one figure never mixes scales
    saved = [cell for cell in saved if cell.scale in scales[:1]]
    shown = sorted(saved, key=lambda cell: -cell.mean)[:MOST_CURVES]
    curves: dict[str, list[Series]] = {}
    rows = []
    places = {cell.stand_in for cell in shown}
    place = places.pop() if len(places) == 1 and len(shown) > 1 else ""
    for cell in shown:
        label = cell.label if place else _label(row, cell)
        for name, series in _curves(label, cell).items():
            curves.setdefault(name.rpartition("_")[2], []).append(series)
            rows.append(_ends(name, series))
    if not any(len(series.epochs) > 1 for group in curves.values() for series in group):
        return []
    columns = ["setting", "curve", "trials", "first", "last", "std of the last", "last epoch"]
    some = f", the best {len(shown)} of {len(saved)} settings" if len(saved) > len(shown) else ""
    panels = [Panel(quantity, quantity == "accuracy", group) for quantity, group in curves.items()]
    alt = (
        f"{' and '.join(map(_in_words, panels)).capitalize()} over the epochs of {row.name}, "
        f"{counted(len(shown), 'setting')}: mean over trials, standard deviation shaded, trials "
        "faint."
    )
    table = Table("first and last epoch, mean over trials", columns, rows, [])
    scale = f" at scale {scales[0]}" if len(row.scales) > 1 else ""
    title = f"{row.name}: learning curves{scale}{some}{place and f', {place}'}"
    save = partial(epoch_curves.draw, panels, place)
    return [Figure(f"{row.name}-curves", title, alt, table, save)]


def _curves(label: str, cell: CellResult) -> dict[str, Series]:
    """Return the curves of a cell by quantity, such as validation_loss."""
    assert cell.curves is not None
    saved = without_short_end(cell.curves)
    points = saved["epoch"]
    return {
        name: _series(label, points, trials, dashed=name.startswith("train_"))
        for name, trials in saved.items()
        if name != "epoch" and trials
    }


def _label(row: RowResult, cell: CellResult) -> str:
    """Return the label of a cell with its stand-in, if it has one that the label does not name."""
    if cell.label == row.row.title_at(cell.scale):
        return cell.stand_in or cell.label
    named = cell.stand_in.partition(" ")[0] in cell.label
    return cell.label if named else f"{cell.label}: {cell.stand_in}"


def _ends(name: str, series: Series) -> list[Cell]:
    """Return the table row with the first and the last value of a curve."""
    middle, spread = epoch_curves.over_trials(series.trials)
    known = np.flatnonzero(~np.isnan(middle))
    first, last = int(known[0]), int(known[-1])
    values = [number(value, ".4f") for value in (middle[first], middle[last], spread[last])]
    curve, trials = Cell(name.replace("_", " ")), number(len(series.trials), "d")
    return [Cell(series.label), curve, trials, *values, number(series.epochs[last], "g")]


def _in_words(panel: Panel) -> str:
    dashed = {series.dashed for series in panel.curves}
    if dashed == {True}:
        return f"{panel.quantity} on training images"
    return f"{panel.quantity} (dashed: training images)" if len(dashed) > 1 else panel.quantity


def _series(
    label: str, epochs: Sequence[float], trials: Sequence[Sequence[float | None]], dashed: bool
) -> Series:
    """Return trials of different lengths (they may stop early) as one array, NaN after the end."""
    array = np.full((len(trials), len(epochs)), np.nan)
    for index, trial in enumerate(trials):
        array[index, : len(trial)] = [np.nan if value is None else value for value in trial]
    return Series(label, list(epochs), array, dashed)
