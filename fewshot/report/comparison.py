"""One Markdown comparison table of any records: regimes and label budgets never mixed, the best in bold."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fewshot import io
from fewshot.errors import UserError
from fewshot.report import differences
from fewshot.report.plots import accuracy_curves as curves
from fewshot.runs import records
from fewshot.runs.records import Record

FILE = "comparison.md"
LEFT = ("method", "backbone", "weights", "settings")
IN_OTHER_COLUMNS = (  # the last two are of a vote
    "data", "image_size", "preset", "precision", "backbone.name", "backbone.weights", "rule", "best_percent",
)  # fmt: skip
BRIEF = ("method", "backbone", "accuracy ± 95%", "n", "seconds a draw", "parameters")


def tell(places: Sequence[Path], out: Path | None, check: bool) -> int:
    """Print the table of all records found, or write it to `out`/comparison.md, or say whether that is stale.

    Beside what is written lie figures of accuracy against the number of labels, where there are several numbers.
    Returns the exit code: 1 where `check` finds a stale or missing file.
    """
    found = [record for _, record in records.find(places)]
    text = markdown(found)
    if out is None:
        if check:
            raise UserError("--check compares with a written table: say where it lies with --out.")
        print(text)
        return 0
    path = out / FILE
    if check:
        fresh = path.exists() and path.read_text() == text + "\n"
        print(
            f"{path} is {'up to date' if fresh else 'stale: run the same command without --check'}",
            file=sys.stderr,
        )
        return 0 if fresh else 1
    io.make_folder(out)
    io.write_bytes(path, (text + "\n").encode())
    for each in (path, *curves.write(found, out)):
        print(each)
    return 0


def markdown(found: Sequence[Record], brief: bool = False) -> str:
    """A heading and a table for every regime, data set and label budget among the records.

    brief: the columns that fit a terminal.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in sorted(found, key=_order):
        images = record["provenance"]["data_fingerprint"]  # two folders may share a name and sizes
        groups.setdefault((_heading(record), images), []).append(record)
    return "\n\n".join(
        f"{heading}\n\n{_table(group, brief)}{_remarks(group)}"
        for (heading, _), group in groups.items()
    )


def _order(record: Record) -> tuple[Any, ...]:
    return record["regime"], record["data"], record["labels"], record["method"], record["run_id"]


def _heading(record: Record) -> str:
    if record["shots"] is not None:
        budget = f"{record['shots']} shots"
    elif record["fraction"] is not None:
        budget = f"fraction {record['fraction']:g}"
    else:
        budget = "all training images"
    return (
        f"**{record['data']}, {budget}** ({record['labels']:,} labels, {len(record['classes'])} classes, "
        f"{record['regime']} regime, {record['n_test']:,} test images)"
    )


def _table(group: Sequence[Record], brief: bool) -> str:
    best = max(group, key=lambda record: record["scores"]["accuracy"]["mean"])
    ordered = sorted(group, key=lambda each: -each["scores"]["accuracy"]["mean"])
    frame = pd.DataFrame([_row(record, best, _settings(record, group)) for record in ordered])
    frame = frame.loc[:, (frame != "").any()]  # without columns that say nothing here
    if brief:
        frame = frame[list(BRIEF)]
    return frame.to_markdown(
        index=False,
        colalign=["left" if name in LEFT else "right" for name in frame],
        disable_numparse=True,
    )


def _settings(record: Record, group: Sequence[Record]) -> str:
    """What tells the record from the others of its method: settings whose values differ among them."""
    kin = [_flat(each["config"]) for each in group if each["method"] == record["method"]]
    ours = _flat(record["config"])
    differing = [key for key in ours if any(each.get(key) != ours[key] for each in kin)]
    return ", ".join(
        f"{key}={_plain(ours[key])}" for key in differing if key not in IN_OTHER_COLUMNS
    )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {f"{prefix}{key}": value}
        )
    return flat


def _plain(value: Any) -> str:
    """A setting's value in short: of augmentations their names, of phases what they train."""
    if isinstance(value, list):
        short = [next(iter(each.values())) if isinstance(each, dict) else each for each in value]
        return f"[{' '.join(map(str, short))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _row(record: Record, best: Record, settings: str) -> dict[str, str]:
    scores = record["scores"]
    accuracy = with_interval(scores["accuracy"])
    values = scores["accuracy"]["values"]
    train = record["train_accuracy"]
    return {
        "method": method_of(record),
        "backbone": record["backbone"],
        "weights": Path(record["weights"]).name,
        "settings": settings,
        "accuracy ± 95%": f"**{accuracy}**" if record is best else accuracy,
        "min - max": f"{min(values):.4f} - {max(values):.4f}" if len(values) > 1 else "",
        "to the best, paired": "" if record is best else _difference(record, best),
        "F1": f"{scores['f1']['mean']:.4f}",
        "loss": f"{scores['loss']['mean']:.3f}",
        "ECE": f"{scores['ece']['mean']:.3f}",
        "train accuracy": "" if train is None else f"{train['mean']:.3f}",
        "n": str(len(values)),
        "seconds a draw": f"{records.seconds(record):.1f}",
        "parameters": f"{record['cost']['parameters']:,}",
        "run": record["run_id"],
    }


def method_of(record: Record) -> str:
    """The method, and its preset where that is none of the usual."""
    return record["method"] + (
        "" if record["preset"] in ("few", "full") else f" ({record['preset']})"
    )


def with_interval(score: dict[str, Any]) -> str:
    """Mean and half of the 95% interval, the mean alone of one draw."""
    return f"{score['mean']:.4f}" + ("" if score["ci95"] is None else f" ± {score['ci95']:.4f}")


def _difference(record: Record, best: Record) -> str:
    """Mean and 95% interval of the difference over the draws that both have; empty for fewer than two."""
    found = differences.paired(record, best)
    return "" if found.n < 2 else str(found)


def _remarks(group: Sequence[Record]) -> str:
    """What a reader of the numbers must know: how the data were changed, warnings of the runs, unclean intervals."""
    remarks = [note for record in group for note in record["data_notes"]]
    remarks += [
        f"{record['method']}: {warning}" for record in group for warning in record["warnings"]
    ]
    remarks += [_measured(record) for record in group if record.get("measures")]
    if np.min([len(record["seeds"]) for record in group]) < 5:
        remarks.append("rows with fewer than five draws say little about the spread.")
    return (
        "".join(["\n", *(f"\n- {remark}" for remark in dict.fromkeys(remarks))]) if remarks else ""
    )


def _measured(record: Record) -> str:
    """What a learner said of itself: the accuracy of a gate, for example."""
    means = [
        f"{name.replace('_', ' ')} {with_interval(score)}"
        for name, score in sorted(record["measures"].items())
    ]
    return f"{record['method']}, run {record['run_id']}: {', '.join(means)}."
