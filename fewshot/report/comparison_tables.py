"""The tables of runs that may be compared: same data, same number of labels, the best first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fewshot.evaluation.paired_tests import paired_difference
from fewshot.report import costs, formatting, labels, uncertainty
from fewshot.report.formatting import Cell, Table, number
from fewshot.runs.run_record import RunRecord
from fewshot.runs.trial_record import CLEAN

ACCURACY = "accuracy ± 95%"
BRIEF = (
    "method",
    "backbone",
    ACCURACY,
    "balanced accuracy",
    "always the same class",
    "95% with test images",
    "n",
    "seconds per trial",
    "features (s)",
    "parameters",
)
BRIEF_LEGEND = (
    "± is over trials, on these test images; with test images: the interval that also counts them "
    "as a sample."
)
SYSTEM = ("method", "backbone", "weights", "settings")  # name the rows of each table of a paper
MAIN = (
    *SYSTEM,
    ACCURACY,
    "balanced accuracy",
    "always the same class",
    "95% with test images",
    "difference to the best",
    "n",
    "seconds per trial",
    "features (s)",
    "run",
)
SHARED = ("backbone", "weights", "n")  # columns that a caption replaces if all cells are the same
LONGEST_SETTINGS = 80  # characters in a cell; longer settings go below the table
Row = dict[str, Cell]


class Group(NamedTuple):
    """Runs that may be compared, the best first.

    Attributes:
        records: the runs.
        rows: the cells of each run by column.
        remarks: changes of the data, warnings and doubts about the intervals.
        long_settings: the settings that are too long for a cell.
    """

    records: list[RunRecord]
    rows: list[Row]
    remarks: list[str]
    long_settings: list[str]

    @property
    def title(self) -> str:
        """The data set and the number of labels; of several, those of the run with most trials."""
        return title(self._largest)

    @property
    def details(self) -> str:
        """What the runs share: labels, classes, regime and test images."""
        return details(self._largest)

    @property
    def _largest(self) -> RunRecord:
        return max(self.records, key=lambda record: len(record.seeds))


def title(record: RunRecord) -> str:
    """Return the data set and the number of labels of a run."""
    return f"{record.data}, {formatting.budget_of(record)}"


def details(record: RunRecord) -> str:
    """Return labels, classes, regime and test images of a run."""
    regime = formatting.regime_in_words(record.regime, formatting.budget_kind(record))
    return (
        f"{record.labels:,} labels, {len(record.classes)} classes, {regime}"
        f"{formatting.evaluated_on(record)}"
    )


def group(records: Sequence[RunRecord]) -> Group:
    """Return the rows of runs that may be compared, and what a reader must know of them."""
    ordered = sorted(records, key=lambda record: -record.scores["accuracy"].mean)
    winner = uncertainty.winner(ordered)
    long_settings: list[str] = []
    rows = []
    for position, record in enumerate(ordered):
        same_method = [one for one in ordered if one.method == record.method]
        pairs = labels.differences(record, same_method).items()
        settings = ", ".join(f"{key}={value}" for key, value in pairs)
        if len(settings) > LONGEST_SETTINGS:
            long_settings.append(f"settings of run {record.run_id}: {settings}")
            settings = "see below"
        rows.append(_row(record, ordered[0], settings, position == winner))
    of_folds = [] if ordered[0].folds is None else [uncertainty.OF_FOLDS]
    remarks = list(dict.fromkeys([*_remarks(records), *of_folds]))
    return Group(ordered, rows, remarks, long_settings)


def markdown(shown: Group, brief: bool = False) -> str:
    """Return the table with its remarks below; `brief` leaves out what does not fit a terminal."""
    columns = _filled(shown.rows, BRIEF if brief else shown.rows[0])
    cells = [[_bold(row[name]) for name in columns] for row in shown.rows]
    remarks = shown.remarks if brief else [*shown.long_settings, *shown.remarks]
    if brief and shown.records[0].folds is None:
        remarks = [*remarks, BRIEF_LEGEND]
    lines = [formatting.markdown_table(columns, cells)]
    if remarks:
        lines += ["", *(f"- {remark}" for remark in remarks)]
    return "\n".join(lines)


def for_paper(shown: Group) -> list[Table]:
    """Return the table of accuracies, and one of the other measures, with captions."""
    shared = []
    if len(shown.rows) > 1:
        shared = [name for name in SHARED if len({row[name].text for row in shown.rows}) == 1]
    one = shown.rows[0]
    words = [f"{name}{' = ' if name == 'n' else ' '}{one[name].text}" for name in shared]
    common = f"; all with {', '.join(words)}" if words else ""
    others = [*SYSTEM, *(name for name in shown.rows[0] if name not in MAIN), "run"]
    notes = [("note", remark) for remark in [*shown.long_settings, *shown.remarks]]
    bold = any(row[ACCURACY].bold for row in shown.rows)
    main = (
        f"{shown.title} ({shown.details}{common}). Accuracy: mean ± half of its 95% interval over "
        f"n trials.{' Bold: significantly better than all others (5%).' if bold else ''}"
    )
    further = f"Further measures: {shown.title}{common}. Means over the trials."
    tables = []
    for caption, names, remarks in ((main, MAIN, notes), (further, others, [])):
        columns = [name for name in _filled(shown.rows, names) if name not in shared]
        cells = [[row[name] for name in columns] for row in shown.rows]
        tables.append(Table(caption, columns, cells, remarks))
    return tables


def _filled(rows: Sequence[Row], names: Iterable[str]) -> list[str]:
    return [name for name in names if any(row[name].text for row in rows)]


def _bold(cell: Cell) -> str:
    return f"**{cell.text}**" if cell.bold else cell.text


def _row(record: RunRecord, best: RunRecord, settings: str, is_winner: bool) -> Row:
    scores, train = record.scores, record.train_accuracy
    accuracy, cost = scores["accuracy"], record.cost
    values = accuracy.values
    span = f"{min(values):.4f} - {max(values):.4f}" if len(values) > 1 else ""
    always = uncertainty.baseline(record)
    low = accuracy.with_test_images(record.n_test).low
    return {
        "method": Cell(formatting.method_name(record)),
        "backbone": Cell(record.backbone),
        "weights": Cell(formatting.weights_name(record)),
        "settings": Cell(settings),
        ACCURACY: Cell(formatting.interval(accuracy), accuracy.mean, is_winner),
        "95% with test images": Cell(uncertainty.with_test_images(record), low),
        "balanced accuracy": number(scores["recall"].mean, ".4f")
        if record.unequal_test
        else Cell(),
        "always the same class": Cell(always),
        "clean accuracy": number(scores[CLEAN].mean, ".4f") if CLEAN in scores else Cell(),
        "min - max": Cell(span, min(values)),
        "difference to the best": Cell() if record is best else _difference(record, best),
        "F1": number(scores["f1"].mean, ".4f"),
        "loss": number(scores["loss"].mean, ".3f"),
        "ECE": number(scores["ece"].mean, ".3f"),
        "loss, calibrated": _calibrated(record, "loss"),
        "ECE, calibrated": _calibrated(record, "ece"),
        "train accuracy": Cell() if train is None else number(train.mean, ".3f"),
        "n": number(len(values), "d"),
        "seconds per trial": Cell(costs.seconds(record), cost.seconds),
        "features (s)": Cell(costs.feature_seconds(record), cost.feature_seconds),
        "parameters": number(cost.parameters, ",d"),
        "run": Cell(record.run_id),
    }


def _calibrated(record: RunRecord, name: str) -> Cell:
    return Cell() if record.calibrated is None else number(record.calibrated[name].mean, ".3f")


def _difference(record: RunRecord, best: RunRecord) -> Cell:
    """Return the paired difference and its interval; nothing for fewer than two common trials."""
    difference = paired_difference(record.by_seed(), best.by_seed())
    return Cell() if difference.n < 2 else Cell(str(difference), difference.mean)


def _remarks(records: Sequence[RunRecord]) -> list[str]:
    """Return changes of the data, warnings of the runs, and doubts about the intervals."""
    remarks = []
    for record in records:
        remarks += formatting.data_notes_of(record)
    for record in records:
        remarks += [
            f"{formatting.short_name(record)}: {text}" for text in formatting.warnings_of(record)
        ]
    remarks += [_measures(record) for record in records if record.measures]
    return [*remarks, *(f"{sentence}." for sentence in uncertainty.cautions(records))]


def _measures(record: RunRecord) -> str:
    """Return what a learner measured of itself: the accuracy of a gate, for example."""
    means = [
        f"{name.replace('_', ' ')} {formatting.interval(score, share=False)}"
        for name, score in sorted(record.measures.items())
    ]
    return f"{formatting.short_name(record)}, run {record.run_id}: {', '.join(means)}."
