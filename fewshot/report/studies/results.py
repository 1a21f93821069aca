"""What a study asks for beside what its result files contain, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fewshot.config import BUDGETS
from fewshot.evaluation.statistics import Score
from fewshot.report import formatting
from fewshot.runs import naming
from fewshot.runs.run_record import RunRecord
from fewshot.studies.grids import Cell
from fewshot.studies.results import Benchmark
from fewshot.studies.schema import SCALES, Row

DONE, MISSING, NOT_RUN = "done", "not yet run", "not run"
SMOKE = "smoke"  # the scale that only shows that everything runs; its numbers are not compared
Planned = Sequence[tuple[Row, Sequence[Cell]]]  # rows, each with its cells


class CellResult(NamedTuple):
    """A cell of a row: the numbers that the report states for it, and what was measured here.

    record: of a run; benchmark: the record of a benchmark, which has columns and rows instead.
    status: done, failed, not run, or not yet run. reason: a sentence if it is not done. changed:
    the study file now asks for other settings than those of the result. stand_in: what takes the
    place of the report's network, in words. stale: its settings lead to another run by now.
    scale: at which it ran; empty without a result. seconds: that all of its trials are expected to
    take at scale full on two cores.
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
    scale: str = ""
    seconds: float = 0.0

    @property
    def scored(self) -> bool:
        """Whether it has accuracies; a benchmark has none."""
        return self.record is not None

    @property
    def untrained(self) -> str:
        """What a learner amounts to that ran without training, in words; empty if it trained."""
        if self.record is None:
            return ""
        method, config = self.record.method, self.record.config_as_run
        if not naming.lacks_training(method, config):
            return ""
        return f"{naming.untrained_classifier(method, config) or method}, not trained"

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
    """A row of a study, read from its YAML file, with its cells in the order of the tables."""

    row: Row
    cells: list[CellResult]

    @property
    def name(self) -> str:
        """The name of the row, such as K9."""
        return self.row.name

    @property
    def scales(self) -> list[str]:
        """The scales of its measured cells, the highest first."""
        return scales_of(self.cells)

    @property
    def title(self) -> str:
        """What ran; the row's own title if its cells ran at scales with different ones."""
        titles = {self.row.title_at(scale) for scale in self.scales}
        return titles.pop() if len(titles) == 1 else self.row.title

    def cuts(self, scale: str) -> str:
        """Return what a scale changes, in words; empty if it changes nothing."""
        return "; ".join(self.row.scale(scale).cuts)

    def system(self, cell: CellResult) -> str:
        """Return what ran in a cell: what an untrained learner amounts to, or the row's title."""
        if not cell.scored:
            return self.row.title
        title = self.row.title_at(cell.scale)
        if cell.untrained:
            return ", ".join(filter(None, [cell.untrained, cell.stand_in]))
        if cell.stand_in in title:
            return title
        _, _, place = cell.stand_in.partition(" in ")
        for several in ("two networks in", "Two networks in"):  # in a title about all of them
            if f"{several} {place}" in title:
                return title.replace(f"{several} {place}", cell.stand_in)
        return f"{title}, {cell.stand_in}"

    @property
    def scored(self) -> list[CellResult]:
        """The cells that have accuracies."""
        return [cell for cell in self.cells if cell.scored]


class Study(NamedTuple):
    """The rows of a study.

    scale: of all cells, or `highest`: each at the highest scale that has a result of it. orphans:
    result files that belong to none of its cells. unlabelled: what pretrained backbones know
    without any label.
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

    @property
    def repeats(self) -> bool:
        """Whether a report states numbers for its rows."""
        return any(cell.reported for row in self.rows for cell in row.cells)

    @property
    def smoke(self) -> bool:
        """Whether the results only show that everything runs."""
        return self.scale == SMOKE

    @property
    def scales(self) -> list[str]:
        """The scales of its measured cells, the highest first."""
        return scales_of(cell for row in self.rows for cell in row.cells)

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
    folds: of a cross-validation; 0 without one. scale: of a table; empty where it may differ.
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
    scale: str = ""

    @property
    def budget(self) -> str:
        """The label budget in words."""
        return formatting.budget(self.kind, self.amount)


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


def groups(cells: Iterable[CellResult], by_scale: bool = True) -> dict[Group, list[CellResult]]:
    """Return the scored cells by group: rising label budgets, all training images last.

    Args:
        cells: the cells.
        by_scale: whether cells of different scales are in different groups.
    """
    by_group: dict[Group, list[CellResult]] = {}
    for cell in cells:
        if cell.scored:
            group = group_of(cell.measured)._replace(scale=cell.scale if by_scale else "")
            by_group.setdefault(group, []).append(cell)
    return dict(sorted(by_group.items(), key=lambda item: (item[0].kind == "full", item[0])))


def scales_of(cells: Iterable[CellResult]) -> list[str]:
    """Return the scales of the cells that are done, the highest first."""
    scales = {cell.scale for cell in cells if cell.status == DONE}
    return sorted(scales, key=SCALES.index, reverse=True)


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
