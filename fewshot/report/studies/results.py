"""What a study asks for beside what its result files contain, as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fewshot import io
from fewshot.config import BUDGETS
from fewshot.errors import UserError
from fewshot.evaluation.statistics import Score
from fewshot.report import formatting
from fewshot.runs import naming
from fewshot.runs.run_record import RunRecord
from fewshot.studies import grids, schema
from fewshot.studies.grids import Cell
from fewshot.studies.results import Benchmark, listed_stale
from fewshot.studies.schema import Row

DONE, MISSING = "done", "not yet run"
SMOKE = "smoke"  # the scale that only shows that everything runs; its numbers are not compared
KEYS = {"study", "row", "scale", "cell", "label", "status", "record"}
Planned = Sequence[tuple[Row, Sequence[Cell]]]  # rows, each with its cells


class CellResult(NamedTuple):
    """A cell of a row: the numbers that the report states for it, and what was measured here.

    record: of a run; benchmark: the record of a benchmark, which has columns and rows instead.
    status: done, failed, not run, or not yet run. reason: a sentence if it is not done. changed:
    the study file now asks for other settings than those of the result. stand_in: what takes the
    place of the report's network, in words. stale: its settings lead to another run by now.
    """

    name: str
    label: str
    values: dict[str, Any]
    reported: dict[str, float]
    status: str
    reason: str = ""
    record: RunRecord | None = None
    benchmark: Benchmark | None = None
    curves: dict[str, Any] | None = None
    run: str = ""
    changed: bool = False
    stand_in: str = ""
    stale: bool = False

    @property
    def scored(self) -> bool:
        """Whether it has accuracies; a benchmark has none."""
        return self.record is not None

    @property
    def untrained(self) -> str:
        """What a learner amounts to that ran without training, in words; empty if it trained."""
        if self.record is None or not naming.lacks_training(self.record.method, self.record.config):
            return ""
        classifier = naming.untrained_classifier(self.record.method, self.record.config)
        return f"{classifier or self.record.method}, not trained"

    @property
    def shown(self) -> str:
        """The label, and whether a learner that it may name was not trained."""
        return self.label + (" (not trained)" if self.untrained else "")

    @property
    def setting(self) -> str:
        """The label without its label budget, and whether a learner was not trained."""
        budgets = tuple(f"{key} " for key in BUDGETS if key in self.values)
        words = self.label.split(", ")
        rest = ", ".join(word for word in words if not budgets or not word.startswith(budgets))
        return rest + (" (not trained)" if self.untrained else "")

    @property
    def measured(self) -> RunRecord:
        """The record of a scored cell."""
        assert self.record is not None
        return self.record

    @property
    def accuracy(self) -> Score:
        """The test accuracy of a scored cell."""
        return self.measured.scores["accuracy"]

    @property
    def mean(self) -> float:
        """The mean test accuracy of a scored cell."""
        return self.accuracy.mean


class RowResult(NamedTuple):
    """A row of a study, read from its YAML file, with its cells in the order of the tables.

    title: what ran at this scale.
    """

    row: Row
    cuts: list[str]
    cells: list[CellResult]
    title: str

    @property
    def name(self) -> str:
        """The name of the row, such as K9."""
        return self.row.name

    def system(self, cell: CellResult) -> str:
        """Return what ran in a cell: what an untrained learner amounts to, or the row's title."""
        if not cell.scored:
            return self.row.title
        if cell.untrained or cell.stand_in in self.title:
            return cell.untrained or self.title
        _, _, place = cell.stand_in.partition(" in ")
        shared = f"two networks in {place}"  # a title about all stand-ins of the row
        if shared in self.title:
            return self.title.replace(shared, cell.stand_in)
        return f"{self.title}, {cell.stand_in}"

    @property
    def scored(self) -> list[CellResult]:
        """The cells that have accuracies."""
        return [cell for cell in self.cells if cell.scored]


class Study(NamedTuple):
    """The rows of a study at one scale.

    orphans: result files that belong to none of its cells. unlabelled: what pretrained backbones
    know without any label.
    """

    name: str
    scale: str
    rows: list[RowResult]
    orphans: int
    unlabelled: Sequence[RunRecord] = ()

    @property
    def explains(self) -> bool:
        """Whether its rows explain surprising results of other studies."""
        return any(row.row.explains is not None for row in self.rows)

    def unlabelled_on(self, images: str) -> list[RunRecord]:
        """Return the records without labels of backbones that the study uses on these images."""
        used = {
            (
                cell.measured.provenance.data_fingerprint,
                cell.measured.backbone,
                cell.measured.weights,
            )
            for row in self.rows
            for cell in row.scored
        }
        return [
            record
            for record in self.unlabelled
            if (images, record.backbone, record.weights) in used
        ]


class Group(NamedTuple):
    """What records must share to stand in one table.

    kind: shots, fraction or full. amount: labels per class, the fraction, or 1 for all images.
    folds: of a cross-validation; 0 without one.
    """

    regime: str
    data: str
    fingerprint: str
    kind: str
    amount: float
    labels: int
    classes: int
    n_test: int
    folds: int = 0

    @property
    def budget(self) -> str:
        """The label budget in words."""
        return formatting.budget(self.kind, self.amount)


def read(places: Sequence[Path], scale: str) -> Planned:
    """Return the rows of the low-data regime at these places, each with its cells at this scale."""
    return [(row, grids.cells(row, scale)) for row in schema.read(places) if not row.episodic]


def gather(planned: Planned, results: Path, scale: str) -> list[Study]:
    """Return the studies of these rows with the results in `results`/<study>/<scale>/<ROW>/."""
    studies: dict[str, list[RowResult]] = {}
    orphans: dict[str, int] = {}
    for row, cells in planned:
        files = _files(results / row.study / scale / row.name)
        stale = listed_stale(results, row.study, scale)
        names = {cell.name for cell in cells}
        measured = [_cell_result(cell, files.get(cell.name)) for cell in cells]
        others = sorted(
            (result for name, result in files.items() if name not in names), key=_position
        )
        if row.kind == "search":
            # What the later steps of a search try depends on the earlier ones, so their cells are
            # known from the results alone.
            measured += [
                _measured(result["cell"], result["label"], {}, result, False) for result in others
            ]
            positions = {name: _position(result) for name, result in files.items()}
            measured.sort(key=lambda cell: positions.get(cell.name, (0, cell.name)))
            others = []
        measured = [
            cell._replace(stale=cell.run != "" and stale.get(f"{row.name}/{cell.name}") == cell.run)
            for cell in measured
        ]
        orphans[row.study] = orphans.get(row.study, 0) + len(others)
        cuts = list(row.scale(scale).cuts)
        measured = [
            cell._replace(stand_in=row.stand_in(cell.values, scale)) if cell.scored else cell
            for cell in measured
        ]
        rows = studies.setdefault(row.study, [])
        rows.append(RowResult(row, cuts, measured, row.title_at(scale)))
    unlabelled = _unlabelled(results)
    return [Study(name, scale, rows, orphans[name], unlabelled) for name, rows in studies.items()]


def _unlabelled(results: Path) -> list[RunRecord]:
    """Return the records in `results`/names that used no label."""
    contents = [io.read_json(path) for path in sorted((results / "names").glob("*.json"))]
    return [RunRecord.from_json(content) for content in contents if content.get("shots") == 0]


def group_of(record: RunRecord) -> Group:
    """Return what the record shares with those in its table."""
    kind = formatting.budget_kind(record)
    return Group(
        regime=record.regime,
        data=Path(record.data).name,
        fingerprint=record.images,
        kind=kind,
        amount=formatting.budget_amount(record),
        labels=record.labels,
        classes=len(record.classes),
        n_test=record.n_test,
        folds=record.folds or 0,
    )


def groups(cells: Iterable[CellResult]) -> dict[Group, list[CellResult]]:
    """Return the scored cells by group: rising label budgets, all training images last."""
    by_group: dict[Group, list[CellResult]] = {}
    for cell in cells:
        if cell.scored:
            by_group.setdefault(group_of(cell.measured), []).append(cell)
    return dict(sorted(by_group.items(), key=lambda item: (item[0].kind == "full", item[0])))


def score(record: RunRecord, metric: str) -> Score | None:
    """Return the summary of a metric by its name in a study file: mean, std, ci95, values."""
    if metric == "train_accuracy":
        return record.train_accuracy
    if metric == "validation_accuracy":
        return None if record.validation is None else record.validation["accuracy"]
    return record.scores.get(metric)


def best(cells: Iterable[CellResult]) -> CellResult:
    """Return the cell of the highest mean test accuracy, the first of equals."""
    return max(cells, key=lambda cell: cell.mean)


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    results = {}
    for path in sorted(folder.glob("*.json")):
        content = io.read_json(path)
        if not isinstance(content, dict) or not set(content) >= KEYS:
            raise UserError(
                f"{path} is not a result of `fewshot sweep`: move it away, or name another folder "
                "with --results."
            )
        results[content["cell"]] = content
    return results


def _position(result: dict[str, Any]) -> tuple[int, str]:
    return result.get("position", 0), result["cell"]


def _cell_result(cell: Cell, result: dict[str, Any] | None) -> CellResult:
    if result is None:
        return CellResult(cell.name, cell.label, cell.values, cell.reported, MISSING)
    changed = "settings" in result and result["settings"] != json.loads(json.dumps(cell.settings))
    return _measured(cell.name, cell.label, cell.reported, result, changed)


def _measured(
    name: str, label: str, reported: dict[str, float], result: dict[str, Any], changed: bool
) -> CellResult:
    content = result["record"] if result["status"] == DONE else None
    return CellResult(
        name=name,
        label=label,
        values=result.get("values") or {},
        reported=reported,
        status=result["status"],
        reason=result.get("reason") or "",
        record=RunRecord.from_json(content) if content and "scores" in content else None,
        benchmark=content if content and "scores" not in content else None,
        curves=result.get("curves") if content is not None else None,
        run=result.get("run") or "",
        changed=changed,
    )
