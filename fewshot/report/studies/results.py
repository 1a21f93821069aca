"""What a study asks for, beside what its result files say: plain rows for tables, sentences and figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fewshot import io
from fewshot.errors import UserError
from fewshot.runs.records import Record
from fewshot.studies import grids, schema
from fewshot.studies.grids import Cell
from fewshot.studies.schema import Row

DONE, MISSING = "done", "not yet run"
KEYS = {"study", "row", "scale", "cell", "label", "status", "record"}
Score = dict[str, Any]
Planned = Sequence[tuple[Row, Sequence[Cell]]]  # rows, each with its cells


class Measured(NamedTuple):
    """A cell: what the report says of it (metric -> number), and what became of it here.

    status: done, failed, not run, or not yet run; reason: a sentence where it is not done; changed: its settings in the
    study file are no longer those that it ran with.
    """

    name: str
    label: str
    values: dict[str, Any]
    reported: dict[str, float]
    status: str
    reason: str
    record: Record | None
    curves: dict[str, Any] | None
    run: str
    changed: bool

    @property
    def scored(self) -> bool:
        """Whether it has accuracies; a benchmark has none."""
        return self.record is not None and "scores" in self.record


class Told(NamedTuple):
    """A row of a study with all of its cells, in the order of tables; plan: the row of its YAML file."""

    plan: Row
    cuts: list[str]
    cells: list[Measured]

    @property
    def name(self) -> str:
        return self.plan.name


class Study(NamedTuple):
    """strangers: how many result files belong to no cell of the study as it now stands."""

    name: str
    scale: str
    rows: list[Told]
    strangers: int


class Group(NamedTuple):
    """What records must share to stand in one table; budget: shots, fraction, or None for all training images."""

    regime: str
    data: str
    fingerprint: str
    kind: str
    budget: float
    labels: int
    classes: int
    n_test: int


def read(places: Sequence[Path], scale: str) -> Planned:
    """Rows of the study files at the places, each with its cells at this scale."""
    return [(row, grids.cells(row, scale)) for row in schema.read(places)]


def gather(planned: Planned, results: Path, scale: str) -> list[Study]:
    """The studies of the planned rows, in their order, with what lies in `results`/<study>/<scale>/<ROW>/."""
    studies: dict[str, list[Told]] = {}
    strangers: dict[str, int] = {}
    for row, cells in planned:
        found = _files(results / row.study / scale / row.name)
        names = {cell.name for cell in cells}
        known = [_asked(cell, found.get(cell.name)) for cell in cells]
        others = sorted((each for name, each in found.items() if name not in names), key=_position)
        if (
            row.kind == "search"
        ):  # what its later steps try is known only when the earlier ones are done
            known += [_measured(each["cell"], each["label"], {}, each, False) for each in others]
            known.sort(
                key=lambda cell: (
                    _position(found[cell.name]) if cell.name in found else (0, cell.name)
                )
            )
            others = []
        strangers[row.study] = strangers.get(row.study, 0) + len(others)
        studies.setdefault(row.study, []).append(Told(row, list(row.scale(scale).cuts), known))
    return [Study(name, scale, rows, strangers[name]) for name, rows in studies.items()]


def group_of(record: Record) -> Group:
    kind = (
        "shots"
        if record["shots"] is not None
        else "fraction"
        if record["fraction"] is not None
        else "full"
    )
    return Group(
        record["regime"], Path(record["data"]).name, record["provenance"]["data_fingerprint"], kind,
        1.0 if kind == "full" else float(record[kind]), record["labels"], len(record["classes"]), record["n_test"],
    )  # fmt: skip


def groups(cells: Sequence[Measured]) -> dict[Group, list[Measured]]:
    """Scored cells by what they may be compared on: rising budgets, all training images last."""
    found: dict[Group, list[Measured]] = {}
    for cell in cells:
        if cell.scored and cell.record is not None:
            found.setdefault(group_of(cell.record), []).append(cell)
    return dict(sorted(found.items(), key=lambda each: (each[0].kind == "full", each[0])))


def budget(group: Group) -> str:
    if group.kind == "full":
        return "all"
    if group.kind == "fraction":
        return f"{100 * group.budget:g}%"
    return f"{group.budget:g} {'shot' if group.budget == 1 else 'shots'}"


def score(record: Record, metric: str) -> Score | None:
    """The summary of a metric as the YAML names it: mean, std, ci95, values."""
    if metric == "train_accuracy":
        return record["train_accuracy"]
    if metric == "validation_accuracy":
        return None if record["validation"] is None else record["validation"]["accuracy"]
    return record["scores"].get(metric)


def mean(cell: Measured) -> float:
    """Test accuracy of a scored cell."""
    return cell.record["scores"]["accuracy"]["mean"]  # type: ignore[index]


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted(folder.glob("*.json")):
        content = io.read_json(path)
        if not isinstance(content, dict) or not set(content) >= KEYS:
            raise UserError(
                f"{path} is no result of fewshot sweep: delete it, or name another folder with --results."
            )
        found[content["cell"]] = content
    return found


def _position(result: dict[str, Any]) -> tuple[int, str]:
    return result.get("position", 0), result["cell"]


def _asked(cell: Cell, result: dict[str, Any] | None) -> Measured:
    if result is None:
        return Measured(
            cell.name, cell.label, cell.values, cell.reported, MISSING, "", None, None, "", False
        )
    changed = "settings" in result and result["settings"] != json.loads(json.dumps(cell.settings))
    return _measured(cell.name, cell.label, cell.reported, result, changed)


def _measured(
    name: str, label: str, reported: dict[str, float], result: dict[str, Any], changed: bool
) -> Measured:  # fmt: skip
    done = result["status"] == DONE
    return Measured(
        name, label, result.get("values") or {}, reported, result["status"], result.get("reason") or "",
        result["record"] if done else None, result.get("curves") if done else None, result.get("run") or "", changed,
    )  # fmt: skip
