"""The rows of studies, as their YAML files state them; imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from fewshot import config
from fewshot.config import Count, NotNegative, Settings
from fewshot.errors import UserError

SCALES = ("smoke", "small", "full")
MEASURED = ("full", "small")  # scales whose numbers are compared with reported ones, best first
HIGHEST = "highest"  # of a report: every setting at the highest scale that has a result of it
CHANGES_AT_FULL = ("trials", "only", "drop", "seconds", "cuts")  # keys that `scales.full` may have
LIST_OR_NAMES = "a list of values, or a mapping of names to settings"
Values = dict[str, Any]
ValuesByAxis = dict[str, tuple[Any, ...]]
SomeAxes = Annotated[ValuesByAxis, Field(min_length=1)]


class Reported(Settings):
    """Numbers that the report states for some cells; all but the loss are shares of one."""

    at: Values = Field(
        default_factory=dict,
        description="Values by axis; the numbers belong to every cell that has them.",
    )
    counted: bool = Field(
        default=True,
        description="Whether these numbers count as this row's; false where they repeat those of "
        "another row, or are at the level of chance.",
    )
    accuracy: float | None = Field(default=None, description="Accuracy on the test set.")
    std: float | None = Field(default=None, description="Standard deviation of the accuracy.")
    loss: float | None = Field(default=None, description="Cross-entropy on the test set. [nats]")
    f1: float | None = Field(default=None, description="F1 score, the mean over classes.")
    precision: float | None = Field(default=None, description="Precision, the mean over classes.")
    recall: float | None = Field(default=None, description="Recall, the mean over classes.")
    train_accuracy: float | None = Field(
        default=None, description="Accuracy on the training images."
    )
    validation_accuracy: float | None = Field(
        default=None, description="Accuracy on the validation set."
    )

    def numbers(self) -> dict[str, float]:
        """Return metric -> number of those that the report states."""
        numbers = self.model_dump(exclude={"at", "counted"})
        return {metric: number for metric, number in numbers.items() if number is not None}


class Explanation(Settings):
    """What a row of another study leaves unexplained, and its likely cause."""

    row: str = Field(
        pattern=r"^[^/]+/[^/]+$",
        description="Study and row whose surprising result is explained, such as `experts/E6`; the "
        "reported numbers count there and not here.",
    )
    cause: str = Field(description="The likely cause in one sentence, from this row's results.")
    shown: Literal["yes", "in part", "no"] = Field(
        description="Whether the results show this cause, in part, or not at all."
    )


class Scale(Settings):
    """What a scale of a row changes; at scale full, at most the trials and which cells run."""

    title: str | None = Field(
        default=None,
        description="What the row runs at this scale, where that is another network; null takes "
        "the row's title. For one cell, `two networks in X's place` becomes that cell's "
        "stand-in.",
    )
    stand_ins: dict[str, str] | None = Field(
        default=None,
        description="What runs in the place of the report's network, in words, by named value of "
        "an axis, or under `all` for every cell; null takes the row's.",
    )
    trials: Count | None = Field(
        default=None,
        validation_alias=AliasChoices("trials", "repeats"),
        description="Number of trials of each cell; null takes the row's.",
    )
    set: Values = Field(
        default_factory=dict,
        description="Settings on top of the base and of named values, and below the values of "
        "dotted axes.",
    )
    only: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("only", "keep"),
        description="By axis, the values that run; an axis that is not named keeps all, and with "
        "an empty list no block of the grid that has this axis runs.",
    )
    drop: tuple[SomeAxes, ...] = Field(
        default=(),
        description="Groups of cells that do not run: those that have, for every axis named, one "
        "of its values.",
    )
    rows: dict[str, ValuesByAxis] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("rows", "of"),
        description="Rows whose runs vote, instead of the row's own, and by axis the values that "
        "these runs must have.",
    )
    variants: dict[str, dict[str, Values]] = Field(
        default_factory=dict,
        description="By axis and named value, settings on top of that value's own.",
    )
    needs: tuple[str, ...] | None = Field(
        default=None, description="What not every machine has; null takes the row's."
    )
    seconds: NotNegative | None = Field(
        default=None,
        description="Expected time of a trial on two cores; null takes the row's. [seconds]",
    )
    cuts: tuple[str, ...] = Field(
        default=(), description="What this scale changes, in words, for the report."
    )


class Row(Settings):
    """One row of a study: a question, the runs that answer it, and the numbers of the report."""

    study: str = Field(description="Name of the study, from the folder.")
    name: str = Field(description="Name of the row, from the file.")
    title: str = Field(description="What the row runs, in a few words.")
    question: str = Field(description="The question that the row answers.")
    source: str = Field(description="Where the report shows it.")
    explains: Explanation | None = Field(
        default=None,
        description="The surprising result that the row explains; null for a row that repeats a "
        "system of a report.",
    )
    kind: Literal["grid", "episodes", "search", "vote", "benchmark"] = Field(
        default="grid",
        description="`grid` runs all cells of `grid`; `episodes` does so in the episodic regime, "
        "where a cell is one evaluation on many tasks; `search` runs, for every named value of the "
        "one axis of `grid`, the `steps` in order and continues with the best value of each by "
        "validation accuracy; `vote` combines the runs of `rows` by `rules` and `percents`; "
        "`benchmark` measures something that is no run.",
    )
    base: Values = Field(default_factory=dict, description="Settings that all cells share.")
    grid: tuple[Values, ...] = Field(
        default=({},),
        description="Blocks, each the product of its axes. An axis is a dotted setting with a list "
        "of values, a name with a mapping of named values to settings, or `zip` with axes of equal "
        "length that change together.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="Short names of axes in tables and file names."
    )
    steps: tuple[ValuesByAxis, ...] = Field(
        default=(), description="Steps of a search, each one axis with its values."
    )
    rows: tuple[str, ...] = Field(
        default=(),
        validation_alias=AliasChoices("rows", "of"),
        description="Rows whose runs a vote or a benchmark reads.",
    )
    rules: tuple[Literal["soft", "hard"], ...] = Field(
        default=("soft", "hard"), description="Rules of a vote."
    )
    percents: tuple[float, ...] = Field(
        default=(100.0,), description="Sizes of a vote. [percent of the voters, best first]"
    )
    benchmark: Literal["cost", "loader", "other order"] | None = Field(
        default=None,
        description="What is measured: the `cost` of other rows, the data `loader`, or the "
        "accuracy of their networks with the classes in another order.",
    )
    trials: Count = Field(
        default=10,
        validation_alias=AliasChoices("trials", "repeats"),
        description="Number of trials of each cell; one in a row of kind `episodes`, where the "
        "seed of a training may be an axis.",
    )
    reported: tuple[Reported, ...] = Field(
        default=(), description="Numbers that the report states."
    )
    needs: tuple[str, ...] = Field(default=(), description="What not every machine has.")
    stand_ins: dict[str, str] = Field(
        default_factory=dict,
        description="What runs in the place of the report's network, in words, by named value of "
        "an axis, or under `all` for every cell.",
    )
    assumed: tuple[str, ...] = Field(
        default=(), description="What the report leaves open, and how it was filled in."
    )
    note: str | None = Field(
        default=None,
        description="What a reader should know, such as why a number was not reproduced.",
    )
    confusion: bool = Field(
        default=False, description="Whether the best cell's confusion matrix is a figure."
    )
    seconds: NotNegative = Field(
        default=60.0, description="Expected time of a trial on two cores. [seconds]"
    )
    scales: dict[Literal["smoke", "small", "full"], Scale] = Field(
        default_factory=dict,
        description="What each scale changes; `full` has the images, the epochs and the networks "
        "of the report, and changes at most the trials and which cells run.",
    )

    @field_validator("grid")
    @classmethod
    def _of_axes(cls, blocks: tuple[Values, ...]) -> tuple[Values, ...]:
        for axis, values in (pair for block in blocks for pair in block.items()):
            is_zip = axis == "zip"
            if not isinstance(values, Mapping if is_zip else (Mapping, list, tuple)):
                kinds = "a mapping of axes to lists" if is_zip else LIST_OR_NAMES
                raise ValueError(f"'{axis}' should be {kinds}")
            inner, what = ((list, tuple), "a list") if is_zip else (Mapping, "a mapping")
            for name, value in values.items() if isinstance(values, Mapping) else ():
                if not isinstance(value, inner):
                    raise ValueError(f"'{name}' of '{axis}' should be {what}")
        return blocks

    @model_validator(mode="after")
    def _coherent(self) -> Row:
        required = {
            "search": ("steps", self.steps),
            "vote": ("rows", self.rows),
            "benchmark": ("benchmark", self.benchmark),
        }
        if self.kind in required:
            key, value = required[self.kind]
            if not value:
                raise ValueError(f"a row of kind {self.kind} needs '{key}'")
        if self.kind in ("grid", "search") and not self.base.get("method"):
            raise ValueError("'base.method' is missing")
        if self.episodic and "trials" in self.model_fields_set:
            raise ValueError(
                "a row of kind episodes has no 'trials': make the seed of the training an axis"
            )
        changed = sorted(self.scale("full").model_dump(exclude_defaults=True))
        wrong = [repr(key) for key in changed if key not in CHANGES_AT_FULL]
        if wrong:
            allowed = ", ".join(map(repr, CHANGES_AT_FULL))
            raise ValueError(f"scale full may change only {allowed}, not {', '.join(wrong)}")
        return self

    @property
    def episodic(self) -> bool:
        """Whether its cells are evaluations on many tasks; they share no table with others."""
        return self.kind == "episodes"

    def scale(self, name: str) -> Scale:
        """Return what a scale changes: nothing if the file has no such scale."""
        return self.scales.get(name, Scale())  # type: ignore[call-overload]

    def title_at(self, scale: str) -> str:
        """Return what the row runs, in a few words."""
        return self.scale(scale).title or self.title

    def stand_in(self, values: Values, scale: str) -> str:
        """Return what takes the place of the report's network in a cell; empty if it is the same.

        Args:
            values: value by axis of the cell.
            scale: smoke, small or full.
        """
        at_scale = self.scale(scale).stand_ins
        stand_ins = self.stand_ins if at_scale is None else at_scale
        named = (stand_ins[value] for value in map(str, values.values()) if value in stand_ins)
        return next(named, stand_ins.get("all", ""))

    def trials_at(self, scale: str) -> int:
        """Return the number of trials of each cell."""
        return 1 if self.episodic else self.scale(scale).trials or self.trials

    def rows_at(self, scale: str) -> dict[str, ValuesByAxis]:
        """Return the rows whose runs a vote reads, and by axis the values that these must have."""
        return self.scale(scale).rows or {name: {} for name in self.rows}

    def needs_at(self, scale: str) -> tuple[str, ...]:
        """Return what not every machine has."""
        needs = self.scale(scale).needs
        return self.needs if needs is None else needs

    def seconds_at(self, scale: str) -> float:
        """Return the expected seconds of one trial on two cores."""
        seconds = self.scale(scale).seconds
        return self.seconds if seconds is None else seconds


def read(paths: Sequence[Path]) -> list[Row]:
    """Return all rows in files and folders, sorted by folder and row, with numbers as numbers.

    Raises:
        UserError: if a path holds no row, or a file is wrong; the message names the file and key.
    """
    rows: dict[Path, Row] = {}
    for path in paths:
        files = files_in(path)
        if not files:
            raise UserError(
                f"{path} holds no study: expected YAML files of rows, a folder of them, or a name "
                "of packaged ones, such as kshot or kshot/K9."
            )
        for file in files:
            values = {**config.read(file), "study": file.parent.name, "name": file.stem}
            rows[file.resolve()] = config.check(Row, values, str(file))
    _check_explained(rows)
    return [rows[file] for file in sorted(rows, key=_natural_order)]


def _check_explained(rows: dict[Path, Row]) -> None:
    """Raise a UserError if a row explains one that is neither read nor in a folder beside it."""
    names = {f"{row.study}/{row.name}" for row in rows.values()}
    for file, row in rows.items():
        if row.explains is None or row.explains.row in names:
            continue
        explained = file.parents[1] / f"{row.explains.row}.yaml"
        if not explained.is_file():
            raise UserError(
                f"{file}: 'explains.row' is {row.explains.row}, but there is no row {explained}."
            )


def files_in(path: Path) -> list[Path]:
    """Return the YAML files at a path: itself, or all below a folder; empty if there are none.

    A path that does not exist is a name of packaged studies, such as `kshot` or `kshot/K9`.
    """
    path = path if path.exists() else _packaged(path)
    if path.is_file():
        return [path] if path.suffix == ".yaml" else []
    return sorted(path.rglob("*.yaml"))


def _packaged(path: Path) -> Path:
    """Return where the packaged studies have a path, with or without `configs/studies`."""
    studies = config.presets_folder() / "studies"
    has_folders = path.parts[:2] == ("configs", "studies")
    place = (studies.parents[1] if has_folders else studies) / path
    return place if place.exists() else place.with_suffix(".yaml")


def _natural_order(path: Path) -> tuple[str, list[tuple[str, int]]]:
    """Return a sort key by which K9 comes before K10."""
    parts = re.findall(r"(\D*)(\d*)", path.stem)
    return str(path.parent), [(text, int(number or -1)) for text, number in parts]
