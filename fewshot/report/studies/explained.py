"""A study that explains surprising results of others: likely causes in place of winners."""

from __future__ import annotations

from functools import partial
from typing import Any

from fewshot.report.formatting import Cell, Table, counted, joined, number
from fewshot.report.plots import causes
from fewshot.report.plots.causes import Point
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies.results import CellResult, RowResult, Study

FEWEST_VALUES = 4  # of a setting with numbers, for a line along it
FEWEST_DOTS = 3  # settings in a figure without a number of the report
UNMEASURED = "not measured"
REST = "nothing else changed"  # the label of settings that only the axis distinguishes
SHOWN = {
    "yes": "The results show it.",
    "in part": "The results show it in part.",
    "no": "The results do not show it.",
    "": "No setting has run.",
}
INTRODUCTION = (
    "Each row of this study takes a surprising result of the four reports, and tries what could "
    "have caused it. *Reported* numbers are those of the report; they are counted on the pages of "
    "the other studies. A cause that the results do not show is listed too."
)


def answer(row: RowResult) -> str:
    """Return the question of an explaining row, its likely cause and the reasoning as one text."""
    explanation = row.row.explains
    assert explanation is not None
    note = " ".join((row.row.note or "").split())
    cause = f"Likely cause: {explanation.cause} {SHOWN[_shown(row)]}"
    return " ".join(filter(None, [row.row.question, cause, note]))


def headline(study: Study) -> Table:
    """Return the table of all questions and their likely causes."""
    columns = ["row", "explains", "question", "likely cause", "shown by the results"]
    lines = []
    for row in study.rows:
        if row.row.explains is not None:
            explains = row.row.explains
            texts = [
                row.name,
                explains.row,
                row.row.question,
                explains.cause,
                _shown(row) or UNMEASURED,
            ]
            lines.append([Cell(text) for text in texts])
    caption = f"Surprising results and their likely causes, at scale {joined(study.scales)}."
    return Table(caption, columns, lines, [])


def in_brief(study: Study) -> str:
    """Return how many causes the results show."""
    shown = [_shown(row) for row in study.rows if row.row.explains is not None]
    words = [f"{shown.count('yes')} of {counted(len(shown), 'likely cause')} shown by the results"]
    for answer, where in (("in part", "in part"), ("no", "not"), ("", UNMEASURED)):
        if answer in shown:
            words.append(f"{shown.count(answer)} {where}")
    return ", ".join(words)


def _shown(row: RowResult) -> str:
    """Return whether the results show the cause of a row; empty if there are none."""
    measured = any(cell.scored or cell.benchmark for cell in row.cells)
    return row.row.explains.shown if row.row.explains and measured else ""


def figures(row: RowResult) -> list[Figure]:
    """Return the accuracies of an explaining row beside those of the report, as one figure."""
    if row.row.explains is None or len(row.scored) < 2:
        return []
    axis = _numeric_axis(row)
    if axis is not None:
        return [_along(row, axis)]
    states_some = any("accuracy" in cell.reported for cell in row.scored)
    return [_beside(row)] if states_some or len(row.scored) >= FEWEST_DOTS else []


def _numeric_axis(row: RowResult) -> str | None:
    """Return the setting that takes the most numbers, if these are enough for a line."""
    numbers: dict[str, set[Any]] = {}
    for cell in row.scored:
        for axis, value in cell.values.items():
            if _is_number(value):
                numbers.setdefault(axis, set()).add(value)
    longest = max(numbers, key=lambda axis: len(numbers[axis]), default=None)
    return longest if longest and len(numbers[longest]) >= FEWEST_VALUES else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _point(cell: CellResult) -> Point:
    reported = cell.reported.get("accuracy")
    trials = tuple(100 * value for value in cell.accuracy.values)
    return Point(100 * cell.mean, trials, None if reported is None else 100 * reported)


def _table_row(label: str, point: Point) -> list[Cell]:
    reported = Cell() if point.reported is None else number(point.reported, ".2f")
    trials = ", ".join(f"{value:.2f}" for value in point.trials)
    return [Cell(label), reported, number(point.mean, ".2f"), Cell(trials)]


def _table(lines: list[list[Cell]]) -> Table:
    columns = ["setting", "reported", "mean", "trials"]
    return Table("accuracy in percent", columns, lines, [])


def _beside(row: RowResult) -> Figure:
    places = {_place(cell) for cell in row.scored}
    shared = places.pop() if len(places) == 1 else ""  # in the title, and not at every setting
    points = {cell.label + ("" if shared else _place(cell)): _point(cell) for cell in row.scored}
    alt = (
        f"Test accuracy of {counted(len(points), 'setting')} of {row.name}, mean and trials, and "
        "the numbers of the report where it states them."
    )
    table = _table([_table_row(label, point) for label, point in points.items()])
    title = f"{row.name}: accuracy by setting{shared}"
    return Figure(f"{row.name}-causes", title, alt, table, partial(causes.beside, points))


def _place(cell: CellResult) -> str:
    return f" ({cell.stand_in})" if cell.stand_in else ""


def _along(row: RowResult, axis: str) -> Figure:
    cells = [cell for cell in row.scored if _is_number(cell.values.get(axis))]
    values = [f"{value:g}" for value in sorted({cell.values[axis] for cell in cells})]
    lines: dict[str, dict[str, Point]] = {}
    for cell in cells:
        others = ", ".join(str(value) for key, value in cell.values.items() if key != axis)
        point = _point(cell)
        lines.setdefault(others or REST, {})[f"{cell.values[axis]:g}"] = point
    setting = row.row.labels.get(axis, axis.rpartition(".")[2].replace("_", " "))
    places = dict.fromkeys(_place(cell) for cell in cells)
    title = f"{row.name}: accuracy by {setting}{''.join(places)}"
    alt = (
        f"Test accuracy of {row.name} at {counted(len(values), 'value')} of {setting}, mean "
        f"and trials: {counted(len(lines), 'line')}."
    )
    table = _table(
        [
            _table_row(f"{setting} {value}, {label}", point)
            for label, points in lines.items()
            for value, point in points.items()
        ]
    )
    save = partial(causes.along, lines, values, setting)
    return Figure(f"{row.name}-causes", title, alt, table, save)
