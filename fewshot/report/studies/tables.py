"""The tables of a study: the headline table of its page, and those of each row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fewshot.evaluation.statistics import Score
from fewshot.report import costs, formatting, uncertainty
from fewshot.report.formatting import Cell, Table, as_stated, number
from fewshot.report.studies import results
from fewshot.report.studies.results import SMOKE, CellResult, Group, RowResult, Study
from fewshot.runs.records import RunRecord
from fewshot.studies.results import Benchmark

# The rows that a reader of a study looks for first; other studies begin with all of their rows.
HEADLINES = {
    "architectures": ("A1", "A3", "A5", "A6"),
    "experts": ("E10", "E11", "E12"),
    "hyperparameters": ("H5", "H6", "H7"),
    "kshot": ("K6", "K7", "K8", "K9", "K10", "K11"),
}
ASSUMED_SHOTS = {"kshot": 16.0}  # headline rows of this study are shown at one label budget
MOST_LINES = 6  # of one row and budget in the headline table
MOST_NAMED = 3  # settings with the same warning; more are counted
LONGEST_CELL = 110  # characters
OTHERS = ("loss", "f1", "precision", "recall")  # columns of their own if the report states them
Decimals = dict[str, int]  # of each metric that the report states for some cell of the row


def headline(study: Study) -> Table | None:
    """Return the table that a page begins with, or None if nothing of it was measured."""
    names = HEADLINES.get(study.name, ())
    chosen = [row for row in study.rows if row.name in names] or study.rows
    lines = [line for row in chosen for line in _headline_rows(row, study)]
    if not any(line["measured"].text for line in lines):
        return None
    budgets = {line["training images"].text for line in lines} - {""}
    columns = [name for name in lines[0] if any(line[name].text for line in lines)]
    shared = ""
    if len(budgets) == 1:
        columns.remove("training images")
        assumed = " (the report does not state its number; assumed)"
        shared = f"with {budgets.pop()}{assumed if study.name in ASSUMED_SHOTS else ''} and "
    rows = [[line[name] for name in columns] for line in lines]
    what = "Reported and measured accuracy. Measured" if study.repeats else "Accuracy"
    caption = (
        f"{what}: mean ± half of its 95% interval over n trials, on these test images, "
        f"{shared}at {_scales(study)}."
    )
    return Table(caption + _without_labels(study), columns, rows, [])


def _scales(study: Study) -> str:
    """Return the scale of a study in words; of several, each row of the table has its own."""
    return f"scale {study.scales[0]}" if len(study.scales) == 1 else "the scale of its row"


def _without_labels(study: Study) -> str:
    """Return sentences on what the pretrained backbones of a study know without any label."""
    images = {record.provenance.data_fingerprint or "" for record in study.unlabelled}
    return "".join(
        f" Without any label, the {formatting.short_name(record)} give {record.backbone} an "
        f"accuracy of {record.scores['accuracy'].mean:.4f} on {record.data}."
        for one in sorted(images)
        for record in study.unlabelled_on(one)
    )


def _headline_rows(row: RowResult, study: Study) -> list[dict[str, Cell]]:
    by_group = results.groups(row.scored)
    shots = ASSUMED_SHOTS.get(study.name)
    if shots is not None:
        by_group = {
            group: cells for group, cells in by_group.items() if group.amount == shots
        } or by_group
    lines = []
    for group, cells in by_group.items():
        for cell in representative(row, cells):
            lines.append(_headline_line(row, cell, group, len(study.scales) > 1))
    for cell in row.cells:
        if cell.status not in (results.DONE, results.MISSING) and cell.reported:
            lines.append(_headline_line(row, cell, None, False))
    return lines


def representative(row: RowResult, cells: Sequence[CellResult]) -> list[CellResult]:
    """Return the cells of one label budget that stand for their row in the headline table.

    This is the one with a reported number if the others are alternatives to it. It is all cells if
    they are few. Otherwise it is the best cell of each searched network, or the cell with the
    highest reported accuracy and the one with the highest measured accuracy.
    """
    stated = [cell for cell in cells if "accuracy" in cell.reported]
    has_alternatives = len(cells) > 2 and [cell for cell in cells if cell.reported] == stated
    if row.row.kind == "grid" and len(stated) == 1 and has_alternatives:
        return stated
    if len(cells) < MOST_LINES or (len(cells) == MOST_LINES and not stated and not _stated(cells)):
        return list(cells)
    if row.row.kind == "search":
        by_network: dict[str, list[CellResult]] = {}
        for cell in cells:
            by_network.setdefault(str(next(iter(cell.values.values()), "")), []).append(cell)
        return [results.best(some) for some in by_network.values()]
    if not stated:
        return [results.best(cells)]
    highest = max(stated, key=lambda cell: cell.reported["accuracy"])
    return [highest] if highest is results.best(cells) else [highest, results.best(cells)]


def _stated(cells: Iterable[CellResult]) -> bool:
    return any(cell.reported for cell in cells)


def _headline_line(
    row: RowResult, cell: CellResult, group: Group | None, has_scale: bool
) -> dict[str, Cell]:
    setting = formatting.shortened(cell.setting if len(row.cells) > 1 else "", LONGEST_CELL)
    system = formatting.sentence_case(cell.untrained) or row.system(cell)
    decimals = decimals_of(row)
    line = {
        "row": Cell(row.name),
        "system": Cell(formatting.shortened(system, LONGEST_CELL)),
        "setting": Cell(setting),
        "reported": reported(cell, "accuracy", decimals.get("accuracy", 2)),
        "measured": Cell(cell.status),
    }
    validation = Cell()
    validation_reported = reported(
        cell, "validation_accuracy", decimals.get("validation_accuracy", 2)
    )
    difference, n, network = Cell(), Cell(), Cell()
    if cell.scored:
        accuracy = cell.accuracy
        line["measured"] = Cell(formatting.interval(accuracy), accuracy.mean)
        n = number(len(accuracy.values), "d")
        if cell.scale != SMOKE:
            difference = _difference(accuracy, cell.reported.get("accuracy"))
        network = Cell(formatting.network(cell.measured))
        validation_score = results.score(cell.measured, "validation_accuracy")
        if validation_score is not None and validation_reported.text:
            validation = Cell(formatting.interval(validation_score), validation_score.mean)
    return line | {
        "n": n,
        "difference": difference,
        "reported, validation": validation_reported,
        "measured, validation": validation,
        "training images": Cell(group.budget if group else ""),
        "scale": Cell(cell.scale if has_scale else ""),
        "measured with": network,
    }


def decimals_of(row: RowResult) -> Decimals:
    """Return for each metric of the report the number of decimals that it states, at least 2."""
    decimals: Decimals = {}
    for cell in row.cells:
        for metric, value in cell.reported.items():
            stated = len(f"{value:.4f}".rstrip("0").partition(".")[2])
            decimals[metric] = max(decimals.get(metric, 2), stated)
    return decimals


def of_row(row: RowResult) -> list[Table]:
    """Return a table for each regime, data set, label budget and scale, and for each benchmark."""
    decimals = decimals_of(row)
    tables = [
        _table(group, cells, decimals, row.cuts(group.scale))
        for group, cells in results.groups(row.cells).items()
    ]
    for cell in row.cells:
        if cell.benchmark is not None:
            tables.append(_benchmark(cell.benchmark, cell.label))
    return tables


def _table(group: Group, cells: Sequence[CellResult], decimals: Decimals, cuts: str) -> Table:
    winner = uncertainty.winner([cell.measured for cell in cells])
    lines = []
    for position, cell in enumerate(cells):
        lines.append(_line(cell, decimals, position == winner))
    columns = [name for name in lines[0] if any(line[name].text for line in lines)]
    rows = [[line[name] for name in columns] for line in lines]
    return Table(_caption(group, cuts), columns, rows, _notes(cells))


def _line(cell: CellResult, decimals: Decimals, is_winner: bool) -> dict[str, Cell]:
    record, accuracy = cell.measured, cell.accuracy
    compared = {} if cell.scale == SMOKE else cell.reported
    line = {
        "setting": Cell(cell.shown),
        "reported": reported(cell, "accuracy", decimals.get("accuracy", 2)),
        "measured": _score(accuracy, is_winner),
        "n": number(len(accuracy.values), "d"),
        "95% with test images": _with_test_images(record),
        "difference": _difference(accuracy, compared.get("accuracy")),
    }
    validation = results.score(record, "validation_accuracy")
    line["validation"] = _score(validation)
    metric = "validation_accuracy"
    if metric in decimals:
        line["validation, reported"] = reported(cell, metric, decimals[metric])
        line["validation, difference"] = _difference(validation, compared.get(metric))
    line["train"] = _score(results.score(record, "train_accuracy"))
    if "train_accuracy" in decimals:
        line["train, reported"] = reported(cell, "train_accuracy", decimals["train_accuracy"])
    for metric in OTHERS:
        if metric in decimals:
            line[metric] = _score(results.score(record, metric), share=metric != "loss")
            line[f"{metric}, reported"] = reported(cell, metric, decimals[metric])
    line["seconds per trial"] = Cell(costs.seconds(record), record.cost.seconds)
    line["features (s)"] = Cell(costs.feature_seconds(record), record.cost.feature_seconds)
    return {**line, "run": Cell(cell.run or record.run_id)}


def reported(cell: CellResult, metric: str, decimals: int) -> Cell:
    """Return the number of the report, with its standard deviation if it states one."""
    value = cell.reported.get(metric)
    if value is None:
        return Cell()
    std = cell.reported.get("std") if metric == "accuracy" else None
    return Cell(as_stated(value, decimals) + (f" (std {as_stated(std)})" if std else ""), value)


def _score(score: Score | None, bold: bool = False, share: bool = True) -> Cell:
    if score is None:
        return Cell()
    return Cell(formatting.interval(score, share=share), score.mean, bold)


def _with_test_images(record: RunRecord) -> Cell:
    low = record.scores["accuracy"].with_test_images(record.n_test).low
    return Cell(uncertainty.with_test_images(record), low)


def _difference(score: Score | None, value: float | None) -> Cell:
    return Cell() if score is None or value is None else number(score.mean - value, "+.4f")


def _caption(group: Group, cuts: str) -> str:
    """Return what the rows of a table share, and what their scale changes."""
    regime = formatting.regime_in_words(group.regime, group.kind)
    tested = f"evaluated on {group.n_test:,} test images"
    if group.folds:
        tested = f"cross-validated, {group.folds} folds of {group.n_test:,} images"
    return (
        f"{group.data}, {group.budget}: {group.labels:,} labels, {group.classes} classes, "
        f"{regime}{tested}; scale {group.scale}{f': {cuts}' if cuts else ''}"
    )


def _notes(cells: Sequence[CellResult]) -> list[tuple[str, str]]:
    """Return networks and weights, changes of the data, warnings, and doubts about the spread."""
    measured = [cell.measured for cell in cells]
    notes = [("network", "; ".join(dict.fromkeys(map(formatting.network, measured))))]
    for record in measured:
        notes += [("data", note) for note in formatting.data_notes_of(record)]
    labels: dict[str, list[str]] = {}
    for cell in cells:
        for warning in formatting.warnings_of(cell.measured):
            labels.setdefault(warning, []).append(cell.label)
    for warning, names in labels.items():
        few = len(names) <= MOST_NAMED
        notes.append(("; ".join(names) if few else f"{len(names)} settings", warning))
    changed = [cell.label for cell in cells if cell.changed]
    if changed:
        sentence = f"the study file now asks for other settings for: {'; '.join(changed)}"
        notes.append(("changed", sentence))
    stale = [cell.label for cell in cells if cell.stale]
    if stale:
        sentence = (
            f"measured before the preset, the weights or the code changed, for: {'; '.join(stale)}"
        )
        notes.append(("stale", sentence))
    notes += [("trials", sentence) for sentence in uncertainty.cautions(measured)]
    return list(dict.fromkeys(notes))


def _benchmark(result: Benchmark, label: str) -> Table:
    rows = [[_value(value) for value in row] for row in result["rows"]]
    caption = f"{formatting.current_words(result['what'])} ({label})"
    columns = [formatting.current_words(column) for column in result["columns"]]
    return Table(caption, columns, rows, [("machine", formatting.current_words(result["machine"]))])


def _value(value: object) -> Cell:
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, int | float):
        return number(value, "g")
    return Cell("" if value is None else formatting.current_words(str(value)))
