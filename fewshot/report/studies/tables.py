"""The tables of a study's row, as plain cells that are written as Markdown, LaTeX and HTML alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fewshot.report.studies import results as gathered
from fewshot.report.studies.results import Group, Measured, Score, Told
from fewshot.runs import records
from fewshot.runs.records import Record

OTHERS = ("loss", "f1", "precision", "recall")  # columns of their own where the report states them
Stated = dict[
    str, int
]  # a metric that the report has for some cell of the row, and how many decimals it gives
SMOKE = "smoke"  # the scale that shows that everything runs: its numbers stand beside nothing


class Cell(NamedTuple):
    """What is printed, and the number that a column is sorted by, where it is one."""

    text: str = ""
    sort: float | None = None
    bold: bool = False


class Table(NamedTuple):
    """caption: what all of its rows share; notes: what else a reader must know, each with its subject."""

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    notes: list[tuple[str, str]]


def tables(told: Told, scale: str) -> list[Table]:
    """One table for each regime, data set and label budget of a row; a benchmark has its own columns."""
    stated: Stated = {}
    for cell in told.cells:
        for metric, value in cell.reported.items():
            stated[metric] = max(
                stated.get(metric, 2), len(f"{value:.4f}".rstrip("0").partition(".")[2])
            )
    found = [
        _table(group, cells, stated, scale) for group, cells in gathered.groups(told.cells).items()
    ]
    return found + [
        _benchmark(cell) for cell in told.cells if cell.record is not None and not cell.scored
    ]


def _table(group: Group, cells: Sequence[Measured], stated: Stated, scale: str) -> Table:
    best = max(cells, key=gathered.mean)
    rows = [_row(cell, group, stated, cell is best and len(cells) > 1, scale) for cell in cells]
    columns = [name for name in rows[0] if any(row[name].text for row in rows)]
    return Table(
        _caption(group, scale),
        columns,
        [[row[name] for name in columns] for row in rows],
        _notes(cells),
    )


def _row(cell: Measured, group: Group, stated: Stated, best: bool, scale: str) -> dict[str, Cell]:
    record = cell.record
    assert record is not None
    accuracy = record["scores"]["accuracy"]
    compared = {} if scale == SMOKE else cell.reported
    found = {
        "cell": Cell(cell.label),
        "reported": reported(cell, "accuracy", stated.get("accuracy", 2)),
        "measured": _score(accuracy, best),
        "n": number(len(accuracy["values"]), "d"),
        "95% interval": _interval(accuracy),
        "difference": _difference(accuracy, compared.get("accuracy")),
        "labels": Cell(gathered.budget(group), group.labels),
    }
    validation = gathered.score(record, "validation_accuracy")
    found["validation"] = _score(validation)
    if "validation_accuracy" in stated:
        found["validation, reported"] = reported(
            cell, "validation_accuracy", stated["validation_accuracy"]
        )
        found["validation, difference"] = _difference(
            validation, compared.get("validation_accuracy")
        )
    found["train"] = _score(gathered.score(record, "train_accuracy"))
    if "train_accuracy" in stated:
        found["train, reported"] = reported(cell, "train_accuracy", stated["train_accuracy"])
    for metric in (each for each in OTHERS if each in stated):
        found[metric] = _score(gathered.score(record, metric))
        found[f"{metric}, reported"] = reported(cell, metric, stated[metric])
    found["seconds a draw"] = number(records.seconds(record), ".1f")
    return {**found, "run": Cell(cell.run or record["run_id"])}


def as_stated(value: float, decimals: int = 2) -> str:
    """A report's number as it stands there, with so many decimals at least: 0.4 is 0.40."""
    text = f"{value:.4f}".rstrip("0")
    return text + "0" * max(0, decimals - len(text.partition(".")[2]))


def reported(cell: Measured, metric: str, decimals: int) -> Cell:
    """The report's number, with its deviation where it states one."""
    value = cell.reported.get(metric)
    if value is None:
        return Cell()
    deviation = cell.reported.get("std") if metric == "accuracy" else None
    return Cell(
        as_stated(value, decimals) + ("" if deviation is None else f" ± {as_stated(deviation)}"),
        value,
    )


def number(value: float, form: str) -> Cell:
    return Cell(f"{value:{form}}", value)


def _score(score: Score | None, bold: bool = False) -> Cell:
    if score is None:
        return Cell()
    return Cell(f"{score['mean']:.4f}" + _spread(score["std"]), score["mean"], bold)


def _spread(half: float | None) -> str:
    return "" if half is None else f" ± {half:.4f}"


def _interval(score: Score) -> Cell:
    """Of a share, which lies between 0 and 1 whatever two draws say."""
    if score["ci95"] is None:
        return Cell()
    low, high = max(0.0, score["mean"] - score["ci95"]), min(1.0, score["mean"] + score["ci95"])
    return Cell(f"{low:.4f} to {high:.4f}", low)


def _difference(score: Score | None, value: float | None) -> Cell:
    return Cell() if score is None or value is None else number(score["mean"] - value, "+.4f")


def _caption(group: Group, scale: str) -> str:
    budget = {
        "shots": gathered.budget(group),
        "fraction": f"{gathered.budget(group)} of the training images",
    }
    return (
        f"{group.data}, {budget.get(group.kind, 'all training images')}: {group.labels:,} labels, "
        f"{group.classes} classes, {group.regime} regime, judged on {group.n_test:,} test images; scale {scale}"
    )


def _notes(cells: Sequence[Measured]) -> list[tuple[str, str]]:
    """Networks and weights, changes of the data, warnings of the runs, and whether the spread says anything."""
    found = [cell.record for cell in cells if cell.record is not None]
    notes = [("network", "; ".join(dict.fromkeys(map(network, found))))]
    notes += [("data", note) for record in found for note in record["data_notes"]]
    notes += [
        (cell.label, warning) for cell in cells for warning in (cell.record or {})["warnings"]
    ]
    changed = [cell.label for cell in cells if cell.changed]
    notes += [
        (
            "changed",
            f"the study file asks for other settings now than these ran with: {'; '.join(changed)}",
        )
    ] * bool(changed)
    if min(len(record["seeds"]) for record in found) < 5:
        notes.append(("draws", "where there are fewer than five, the spread says little"))
    return list(dict.fromkeys(notes))


def network(record: Record) -> str:
    weights = {"none": "random weights", "pretrained": "pretrained weights"}
    start = weights.get(record["weights"]) or f"weights {Path(record['weights']).name}"
    return f"{record['method']} on {record['backbone']}, {start}"


def _benchmark(cell: Measured) -> Table:
    record = cell.record or {}
    rows = [
        [number(each, "g") if isinstance(each, int | float) and not isinstance(each, bool) else _words(each)
         for each in row]
        for row in record["rows"]
    ]  # fmt: skip
    return Table(
        f"{record['what']} ({cell.label})",
        list(record["columns"]),
        rows,
        [("machine", record["machine"])],
    )


def _words(value: object) -> Cell:
    return Cell(
        ("no", "yes")[value] if isinstance(value, bool) else "" if value is None else str(value)
    )
