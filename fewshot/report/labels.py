"""Settings in which runs differ, and labels that distinguish runs of one method. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fewshot.config import RunConfig
from fewshot.report import formatting
from fewshot.runs.run_record import RunRecord

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
BUDGETS = ("shots", "fraction", "full")
MOST_SETTINGS = 3  # in a label


def differences(record: RunRecord, others: Sequence[RunRecord]) -> dict[str, str]:
    """Return the settings of a record that some other record has not, in short."""
    settings = [_complete(other) for other in others]
    return {
        key: _plain(value)
        for key, value in _complete(record).items()
        if key not in IN_OTHER_COLUMNS and any(other.get(key) != value for other in settings)
    }


def distinct(records: Sequence[RunRecord]) -> list[str]:
    """Return a label for each record; two runs with the same labelled images never share one.

    A label is what ran, as `formatting.method_label` has it. Where several runs with the same
    labelled images have the same one, all labels of this method get the preset if it differs, and
    then at most `MOST_SETTINGS` of the settings that differ. What is still the same gets the id of
    its run.
    """
    labels = [formatting.method_label(record) for record in records]
    for words in (_presets, _settings):
        by_label: dict[str, list[RunRecord]] = {}
        for record, label in zip(records, labels, strict=True):
            by_label.setdefault(label, []).append(record)
        added = {label: words(some) for label, some in by_label.items()}
        labels = [
            ", ".join([label, *added[label].get(record.run_id, [])])
            for record, label in zip(records, labels, strict=True)
        ]
    shared = _shared(records, labels)
    return [
        f"{label}, run {record.run_id}" if place in shared else label
        for place, (record, label) in enumerate(zip(records, labels, strict=True))
    ]


def _presets(records: Sequence[RunRecord]) -> dict[str, list[str]]:
    """Return the preset by run, if runs with the same labelled images have several."""
    if all(len({one.preset for one in some}) == 1 for some in _by_task(records)):
        return {}
    return {record.run_id: [f"preset {record.preset}"] for record in records}


def _settings(records: Sequence[RunRecord]) -> dict[str, list[str]]:
    """Return by run the settings in which runs with the same labelled images differ, in words.

    A setting that some run lacks is newer than that run, and is left out.
    """
    keys: dict[str, None] = {}
    for some in _by_task(records):
        for record in some:
            keys |= dict.fromkeys(differences(record, some))
    of_all = set.intersection(*(set(_complete(record)) for record in records))
    chosen = [key for key in keys if key in of_all and key not in BUDGETS][:MOST_SETTINGS]
    words = {}
    for record in records:
        settings = _complete(record)
        words[record.run_id] = [f"{_name(key)} {_plain(settings.get(key))}" for key in chosen]
    return words


def _by_task(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    by_task: dict[str, list[RunRecord]] = {}
    for record in records:
        by_task.setdefault(_task(record), []).append(record)
    return list(by_task.values())


def _shared(records: Sequence[RunRecord], labels: Sequence[str]) -> set[int]:
    """Return the positions of records whose label another one of the same labelled images has.

    The record with the most trials keeps its label.
    """
    order = sorted(range(len(records)), key=lambda one: (-len(records[one].seeds), one))
    seen: set[tuple[str, str]] = set()
    shared = set()
    for one in order:
        key = _task(records[one]), labels[one]
        if key in seen:
            shared.add(one)
        seen.add(key)
    return shared


def _task(record: RunRecord) -> str:
    return f"{record.images} {formatting.budget_of(record)}"


def _name(key: str) -> str:
    """Return a setting in words, without the group that it belongs to: "batch size"."""
    return key.rpartition(".")[2].replace("_", " ")


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
