"""Rows of studies, as their YAML files say them. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from fewshot import config
from fewshot.config import Count, NotNegative, Settings
from fewshot.errors import UserError

SCALES = ("smoke", "small", "full")
Values = dict[str, Any]


class Reported(Settings):
    """A report's numbers for the cells whose values are those of `at`; shares of one, but for the loss."""

    at: Values = Field(default_factory=dict)
    accuracy: float | None = None
    std: float | None = None
    loss: float | None = None
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    train_accuracy: float | None = None
    validation_accuracy: float | None = None

    def numbers(self) -> dict[str, float]:
        return {
            key: value
            for key, value in self.model_dump(exclude={"at"}).items()
            if value is not None
        }


class Scale(Settings):
    """What a smaller scale changes: draws, settings, the values kept of an axis, and settings of named values.

    set: on top of the base and of named values, below the values of dotted axes; variants: axis -> name -> settings on
    top of that named value's; drop: the cells of a grid that have, for every axis named, one of its values, are left
    out; of: the rows whose runs a vote takes in place of its own `of`, and by axis the values that these must have;
    seconds: of a draw on two cores; cuts: what the changes are, in words.
    """

    repeats: Count | None = None
    set: Values = Field(default_factory=dict)
    keep: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    drop: tuple[dict[str, tuple[Any, ...]], ...] = ()
    of: dict[str, dict[str, tuple[Any, ...]]] = Field(default_factory=dict)
    variants: dict[str, dict[str, Values]] = Field(default_factory=dict)
    needs: tuple[str, ...] | None = None
    seconds: NotNegative | None = None
    cuts: tuple[str, ...] = ()


class Row(Settings):
    """One row of a study, as its file says it.

    kind: `grid`, all cells of `grid`; `search`, for every named value of the one axis of `grid` the `steps` in order,
    each keeping the best value by validation accuracy; `vote`, the runs of the rows `of` by `rules` and `percents`;
    `benchmark`, a measurement that is no run, by name.
    grid: blocks, each a product of axes. An axis is a dotted setting with a list of values, a name of one's own with a
    mapping of named values to settings, or `zip` with axes of equal length that go together.
    source: where in the report; assumed: what it does not say; note: what a reader should know, why it did not
    reproduce; needs: what is not on every machine; confusion: whether the best cell's confusion matrix is a figure.
    """

    study: str
    name: str
    title: str
    question: str
    source: str
    kind: Literal["grid", "search", "vote", "benchmark"] = "grid"
    base: Values = Field(default_factory=dict)
    grid: tuple[Values, ...] = ({},)
    labels: dict[str, str] = Field(default_factory=dict)
    steps: tuple[dict[str, tuple[Any, ...]], ...] = ()
    of: tuple[str, ...] = ()
    rules: tuple[Literal["soft", "hard"], ...] = ("soft", "hard")
    percents: tuple[float, ...] = (100.0,)
    benchmark: str | None = None
    repeats: Count = 10
    reported: tuple[Reported, ...] = ()
    needs: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    note: str | None = None
    confusion: bool = False
    seconds: NotNegative = 60.0
    scales: dict[Literal["smoke", "small"], Scale] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _coherent(self) -> Row:
        wanted = {
            "search": bool(self.steps),
            "vote": bool(self.of),
            "benchmark": bool(self.benchmark),
        }
        if not wanted.get(self.kind, True):
            key = {"search": "steps", "vote": "of", "benchmark": "benchmark"}[self.kind]
            raise ValueError(f"a row of kind {self.kind} needs '{key}'")
        if self.kind in ("grid", "search") and not self.base.get("method"):
            raise ValueError("'base.method' is missing")
        return self

    def scale(self, name: str) -> Scale:
        """What this scale changes: nothing where it is full, or the file has none of that name."""
        return self.scales.get(name, Scale())  # type: ignore[call-overload]

    def draws(self, scale: str) -> int:
        return self.scale(scale).repeats or self.repeats

    def members(self, scale: str) -> dict[str, dict[str, tuple[Any, ...]]]:
        """The rows that a vote takes, and the values by axis that their cells must have."""
        return self.scale(scale).of or {name: {} for name in self.of}

    def needed(self, scale: str) -> tuple[str, ...]:
        needs = self.scale(scale).needs
        return self.needs if needs is None else needs

    def draw_seconds(self, scale: str) -> float:
        """Of one draw on two cores, as the file expects it."""
        seconds = self.scale(scale).seconds
        return self.seconds if seconds is None else seconds


def read(places: Sequence[Path]) -> list[Row]:
    """All rows under files and folders, in the order of the folders' and files' names, numbers as numbers.

    Raises UserError for a place that does not exist or holds no row, and for a file that is wrong, naming the key.
    """
    found: dict[Path, Row] = {}
    for place in places:
        files = files_in(place)
        if not files:
            raise UserError(
                f"{place} holds no study: rows are YAML files, as in configs/studies/kshot/K9.yaml."
            )
        for file in files:
            values = {**config.read(file), "study": file.parent.name, "name": file.stem}
            found[file.resolve()] = config.check(Row, values, str(file))
    return [found[path] for path in sorted(found, key=_natural)]


def files_in(place: Path) -> list[Path]:
    """The YAML files at a place, a file itself or a folder with any below it; none where there are none."""
    if place.is_file():
        return [place] if place.suffix == ".yaml" else []
    return sorted(place.rglob("*.yaml"))


def _natural(path: Path) -> tuple[str, list[tuple[str, int]]]:
    parts = re.findall(r"(\D*)(\d*)", path.stem)
    return str(path.parent), [(text, int(number or -1)) for text, number in parts]
