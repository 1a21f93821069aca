"""Comparison tables of any records; regimes and label budgets are never mixed in one table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewshot import io
from fewshot.config import RunConfig
from fewshot.errors import UserError
from fewshot.evaluation.paired_tests import paired_difference
from fewshot.report import costs, formatting, known_faults, uncertainty
from fewshot.report.plots import accuracy_curves
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord
from fewshot.runs.trial_record import CLEAN

FILE = "comparison.md"
IN_OTHER_COLUMNS = (  # the last two are those of a vote
    "data",
    "image_size",
    "preset",
    "precision",
    "backbone.name",
    "backbone.weights",
    "rule",
    "best_percent",
)
BRIEF = (
    "method",
    "backbone",
    "accuracy ± 95%",
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
LONGEST_SETTINGS = 80  # characters in a cell; longer settings go below the table
HOW_TO_READ = (
    f"{uncertainty.HOW_INTERVALS} Difference to the highest accuracy: paired over common trials. "
    f"{uncertainty.HOW_BOLD} {costs.SECONDS}"
)


def report(places: Sequence[Path], out: Path | None, check: bool) -> int:
    """Print the tables of all records at these places, or write or check `out`/comparison.md.

    With the page, figures of accuracy against the number of labels are written if there are
    several numbers of labels.

    Returns:
        The exit code: 1 if `check` finds a stale or missing file, otherwise 0.
    """
    rows = [record for _, record in records.load(places)]
    if out is None:
        if check:
            raise UserError("--check compares with a written table: name its folder with --out.")
        print(markdown(rows))
        return 0
    path, text = out / FILE, page(rows)
    if check:
        fresh = path.exists() and path.read_text(encoding="utf-8") == text
        state = "up to date" if fresh else "stale: run the same command without --check"
        print(f"{path} is {state}", file=sys.stderr)
        return 0 if fresh else 1
    io.make_folder(out)
    io.write_text(path, text)
    for written in (path, *accuracy_curves.write(rows, out)):
        print(written)
    return 0


def page(rows: Sequence[RunRecord]) -> str:
    """Return the page: methods by label budget, then one table for each budget."""
    parts = ["# Comparison", overview(rows), HOW_TO_READ, markdown(rows, level="## ")]
    return "\n\n".join(filter(None, parts)) + "\n"


def overview(rows: Sequence[RunRecord]) -> str:
    """Return accuracy by method and labels per class for each data set with several budgets."""
    by_data: dict[tuple[str, str], dict[str, dict[int, RunRecord]]] = {}
    for record in sorted(rows, key=lambda record: (len(record.seeds), record.run_id)):
        if record.shots is not None and not record.class_shots:
            images = record.data, record.images
            label = formatting.method_label(record)
            by_data.setdefault(images, {}).setdefault(label, {})[record.shots] = record
    parts = []
    for (data, _), by_method in by_data.items():
        budgets = sorted({shots for by_shots in by_method.values() for shots in by_shots})
        if len(budgets) < 2:
            continue
        lines = []
        for label, by_shots in by_method.items():
            cells = [_accuracy(by_shots[shots]) if shots in by_shots else "" for shots in budgets]
            lines.append([label, *cells])
        lines.sort(key=lambda line: [cell or "0" for cell in line[:0:-1]], reverse=True)
        table = formatting.markdown_table(["method", *map(str, budgets)], lines)
        parts.append(f"{data}: accuracy ± 95% by the number of labels per class.\n\n{table}")
    return "\n\n".join(parts)


def markdown(rows: Sequence[RunRecord], brief: bool = False, level: str = "") -> str:
    """Return a heading and a table for every regime, data set and label budget.

    Args:
        rows: the records, in any order.
        brief: only the columns that fit a terminal.
        level: "## " makes the headings sections; otherwise they are bold.
    """
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for record in sorted(rows, key=_order):
        # Two folders may share a name and sizes, and runs of one cross-validation may have
        # different numbers of trials.
        same = _heading(record, level) if record.folds is None else formatting.budget_of(record)
        groups.setdefault((same, record.images), []).append(record)
    parts = []
    for group in groups.values():
        most = max(group, key=lambda record: len(record.seeds))
        parts.append(f"{_heading(most, level)}\n\n{_table(group, brief)}")
    return "\n\n".join(filter(None, [*parts, known_faults.sentence(rows)]))


def _order(record: RunRecord) -> tuple[Any, ...]:
    return record.regime, record.data, record.labels, record.method, record.run_id


def _heading(record: RunRecord, level: str) -> str:
    budget = f"{record.data}, {formatting.budget_of(record)}"
    regime = formatting.regime_in_words(record.regime, formatting.budget_kind(record))
    details = (
        f"{record.labels:,} labels, {len(record.classes)} classes, {regime}"
        f"{formatting.evaluated_on(record)}"
    )
    return f"{level}{budget}\n\n({details})" if level else f"**{budget}** ({details})"


def _table(group: Sequence[RunRecord], brief: bool) -> str:
    """Return the table of records that may be compared, the best first, with its remarks."""
    ordered = sorted(group, key=lambda record: -record.scores["accuracy"].mean)
    winner = uncertainty.winner(ordered)
    long_settings: list[str] = []
    rows = []
    for record in ordered:
        settings = _settings(record, group)
        if len(settings) > LONGEST_SETTINGS:
            long_settings.append(f"settings of run {record.run_id}: {settings}")
            settings = "see below"
        rows.append(_row(record, ordered[0], settings))
    if winner is not None:
        rows[winner]["accuracy ± 95%"] = f"**{rows[winner]['accuracy ± 95%']}**"
    columns = [name for name in (BRIEF if brief else rows[0]) if any(row[name] for row in rows)]
    cells = [[row[name] for name in columns] for row in rows]
    remarks = [*(long_settings if not brief else []), *_remarks(group)]
    lines = [formatting.markdown_table(columns, cells)]
    if brief:
        remarks.append(BRIEF_LEGEND if group[0].folds is None else uncertainty.OF_FOLDS)
    elif group[0].folds is not None:
        remarks.append(uncertainty.OF_FOLDS)
    if remarks:
        lines += ["", *(f"- {remark}" for remark in dict.fromkeys(remarks))]
    return "\n".join(lines)


def _settings(record: RunRecord, group: Sequence[RunRecord]) -> str:
    """Return the settings in which the record differs from others of its method."""
    same_method = [_complete(row) for row in group if row.method == record.method]
    ours = _complete(record)
    words = []
    for key, value in ours.items():
        differs = any(other.get(key) != value for other in same_method)
        if differs and key not in IN_OTHER_COLUMNS:
            words.append(f"{key}={_plain(value)}")
    return ", ".join(words)


def _complete(record: RunRecord) -> dict[str, Any]:
    """Return the settings of a record, with defaults for those that are newer than the record."""
    if record.members is not None:
        return _flat(record.config)
    fields = RunConfig.model_fields.items()
    defaults = {key: field.default for key, field in fields if not field.is_required()}
    return _flat({**defaults, **record.config})


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _plain(value: Any) -> str:
    """Return a setting in short: of augmentations their names, of phases what they train."""
    if isinstance(value, list):
        items = [next(iter(item.values())) if isinstance(item, dict) else item for item in value]
        return f"[{' '.join(map(str, items))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _accuracy(record: RunRecord) -> str:
    return formatting.interval(record.scores["accuracy"])


def _row(record: RunRecord, best: RunRecord, settings: str) -> dict[str, str]:
    scores, train = record.scores, record.train_accuracy
    values = scores["accuracy"].values
    return {
        "method": formatting.method_name(record),
        "backbone": record.backbone,
        "weights": formatting.weights_name(record),
        "settings": settings,
        "accuracy ± 95%": _accuracy(record),
        "95% with test images": uncertainty.with_test_images(record),
        "balanced accuracy": f"{scores['recall'].mean:.4f}" if record.unequal_test else "",
        "always the same class": uncertainty.baseline(record),
        "clean accuracy": f"{scores[CLEAN].mean:.4f}" if CLEAN in scores else "",
        "min - max": f"{min(values):.4f} - {max(values):.4f}" if len(values) > 1 else "",
        "difference to the best": "" if record is best else _difference(record, best),
        "F1": f"{scores['f1'].mean:.4f}",
        "loss": f"{scores['loss'].mean:.3f}",
        "ECE": f"{scores['ece'].mean:.3f}",
        "loss, calibrated": _calibrated(record, "loss"),
        "ECE, calibrated": _calibrated(record, "ece"),
        "train accuracy": "" if train is None else f"{train.mean:.3f}",
        "n": str(len(values)),
        "seconds per trial": costs.seconds(record),
        "features (s)": costs.feature_seconds(record),
        "parameters": f"{record.cost.parameters:,}",
        "run": record.run_id,
    }


def _calibrated(record: RunRecord, name: str) -> str:
    return "" if record.calibrated is None else f"{record.calibrated[name].mean:.3f}"


def _difference(record: RunRecord, best: RunRecord) -> str:
    """Return the paired difference and its interval; nothing for fewer than two common trials."""
    difference = paired_difference(record.by_seed(), best.by_seed())
    return "" if difference.n < 2 else str(difference)


def _remarks(group: Sequence[RunRecord]) -> list[str]:
    """Return changes of the data, warnings of the runs, and doubts about the intervals."""
    remarks = []
    for record in group:
        remarks += record.data_notes
    for record in group:
        remarks += [
            f"{formatting.short_name(record)}: {formatting.current_words(text)}"
            for text in record.warnings
        ]
    remarks += [_measures(record) for record in group if record.measures]
    return [*remarks, *(f"{sentence}." for sentence in uncertainty.cautions(group))]


def _measures(record: RunRecord) -> str:
    """Return what a learner measured of itself: the accuracy of a gate, for example."""
    means = [
        f"{name.replace('_', ' ')} {formatting.interval(score, share=False)}"
        for name, score in sorted(record.measures.items())
    ]
    return f"{formatting.short_name(record)}, run {record.run_id}: {', '.join(means)}."
