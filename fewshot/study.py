"""Rows of the reports' studies: YAML files -> the cells that a sweep runs and a report shows. Imports nothing heavy."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from episodes.errors import UserError
from fewshot import config
from fewshot.config import Count, NotNegative, Settings

SCALES = ("smoke", "small", "full")
BUDGETS = ("shots", "fraction", "full")
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
        return {key: value for key, value in self.model_dump(exclude={"at"}).items() if value is not None}


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
    reproduce; needs: what is not on every machine.
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
    seconds: NotNegative = 60.0
    scales: dict[Literal["smoke", "small"], Scale] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _coherent(self) -> Row:
        wanted = {"search": bool(self.steps), "vote": bool(self.of), "benchmark": bool(self.benchmark)}
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


class Cell(NamedTuple):
    """One run of a row: its file's name, its label in tables, its place there, its values, and its settings.

    settings: nested, as `experiment.run` takes them; reported: metric -> the report's number.
    """

    name: str
    label: str
    position: int
    values: Values
    settings: Values
    reported: dict[str, float]


def read(places: Sequence[Path]) -> list[Row]:
    """All rows under files and folders, in the order of the folders' and files' names, numbers as numbers.

    Raises UserError for a place that does not exist or holds no row, and for a file that is wrong, naming the key.
    """
    found: dict[Path, Row] = {}
    for place in places:
        files = files_in(place)
        if not files:
            raise UserError(f"{place} holds no study: rows are YAML files, as in configs/studies/kshot/K9.yaml.")
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


def cells(row: Row, scale: str) -> list[Cell]:
    """The cells of a row that are known before it runs: all, but of a search those of the first step."""
    if row.kind == "grid":
        return [_cell(row, scale, values, number) for number, values in enumerate(_products(row, scale))]
    if row.kind == "search":
        return [cell for start in searches(row, scale) for cell in step_cells(row, scale, 0, start)]
    if row.kind == "vote":
        pairs = itertools.product(row.rules, row.percents)
        return [_cell(row, scale, {"rule": rule, "best": best}, number) for number, (rule, best) in enumerate(pairs)]
    return [Cell("all", row.title, 0, {}, {}, {})]


def count(row: Row, scale: str) -> int:
    """How many cells a row has, at most: a search may come back to a cell."""
    if row.kind != "search":
        return len(cells(row, scale))
    return len(searches(row, scale)) * sum(len(_kept(row, scale, *only(step))) for step in row.steps)


def searches(row: Row, scale: str) -> list[Values]:
    """Where each search of a row starts: a named value of its grid."""
    return list(_products(row, scale))


def step_cells(row: Row, scale: str, step: int, found: Values) -> list[Cell]:
    """The cells of a search's step, where `found` holds its network and the best values of the steps before."""
    axis, values = only(row.steps[step])
    kept = _kept(row, scale, axis, values)
    starts = [list(start.values()) for start in searches(row, scale)]
    own = starts.index([value for key, value in found.items() if key in row.grid[0]])
    width = sum(len(_kept(row, scale, *only(each))) for each in row.steps)
    first = own * width + sum(len(_kept(row, scale, *only(each))) for each in row.steps[:step])
    return [_cell(row, scale, {**found, axis: value}, first + number, step) for number, value in enumerate(kept)]


def only(step: Mapping[str, tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
    """The one axis of a search's step."""
    ((axis, values),) = step.items()
    return axis, values


def _kept(row: Row, scale: str, axis: str, values: Sequence[Any]) -> list[Any]:
    kept = row.scale(scale).keep.get(axis)
    if kept is None:
        return list(values)
    known = [*values, *(value for block in row.grid for value in block.get(axis, ()))]
    if unknown := [value for value in kept if value not in known]:
        raise UserError(
            f"{row.study}/{row.name}: scale {scale} keeps {unknown[0]} of '{axis}', which has no such value."
        )
    return [value for value in values if value in kept]


def _products(row: Row, scale: str) -> Iterator[Values]:
    """The values of every cell, block by block."""
    for block in row.grid:
        axes: list[list[Values]] = []
        for axis, values in block.items():
            if axis == "zip":
                if len({len(each) for each in values.values()}) != 1:
                    raise UserError(f"{row.study}/{row.name}: the lists under 'zip' must be of one length.")
                kept = {key: _kept(row, scale, key, each) for key, each in values.items()}
                together = [dict(zip(values, each, strict=True)) for each in zip(*values.values(), strict=True)]
                axes.append([each for each in together if all(each[key] in kept[key] for key in each)])
            else:
                axes.append([{axis: value} for value in _kept(row, scale, axis, list(values))])
        for parts in itertools.product(*axes):
            values = {key: value for part in parts for key, value in part.items()}
            if not any(fits(values, each) for each in row.scale(scale).drop):
                yield values


def fits(values: Values, wanted: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a cell has, for every axis that is wanted, one of its values."""
    return all(key in values and values[key] in found for key, found in wanted.items())


def _cell(row: Row, scale: str, values: Values, position: int, step: int | None = None) -> Cell:
    short = {key: row.labels.get(key, key.rpartition(".")[2]) for key in values}
    words = [_plain(value) if _named(row, key) else f"{short[key]} {_plain(value)}" for key, value in values.items()]
    slug = "-".join(
        _slug(_plain(value)) if _named(row, key) else f"{_slug(short[key])}={_slug(_plain(value))}"
        for key, value in values.items()
    )
    if step is not None:
        slug, words = f"{step + 1}-{slug}", [*words, f"(step {step + 1})"]
    reported: dict[str, float] = {}
    for each in row.reported:
        if all(key in values and values[key] == value for key, value in each.at.items()):
            reported |= each.numbers()
    settings = {} if row.kind == "vote" else _settings(row, scale, values)
    return Cell(slug or "all", ", ".join(words) or row.title, position, values, settings, reported)


def _named(row: Row, axis: str) -> bool:
    return any(isinstance(block.get(axis), dict) for block in row.grid)


def _settings(row: Row, scale: str, values: Values) -> Values:
    """The base, the named values, what the scale sets, the values of dotted axes; the later on top."""
    changed = row.scale(scale)
    settings = dict(row.base)
    for axis, value in values.items():
        for block in row.grid:
            if isinstance(block.get(axis), dict):
                settings = put(settings, block[axis][value])
                break
    settings = put(settings, changed.set)
    for axis, value in values.items():
        if _named(row, axis):
            settings = put(settings, changed.variants.get(axis, {}).get(str(value), {}))
        elif row.kind != "vote":
            settings = put(settings, {axis: value})
    return settings


def put(under: Values, over: Values) -> Values:
    """Settings with others on top, nested or dotted; what excludes one another is replaced.

    That is a backbone of another name, the label budget, steps and epochs, and a method with its preset.
    """
    nested: Values = {}
    for key, value in over.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        nested = config.merge(nested, value)
    under = dict(under)
    if nested.get("method", under.get("method")) != under.get("method"):
        under = {key: value for key, value in under.items() if key in (*BUDGETS, "data", "image_size")}
    if any(key in nested for key in BUDGETS):
        under = {key: value for key, value in under.items() if key not in BUDGETS}
    if "name" in nested.get("backbone", {}) and nested["backbone"]["name"] != under.get("backbone", {}).get("name"):
        under.pop("backbone", None)
    durations = {"steps", "epochs"}
    if isinstance(under.get("train"), dict) and durations & set(nested.get("train") or {}):
        under["train"] = {key: value for key, value in under["train"].items() if key not in durations}
    return config.merge(under, nested)


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+]+", "_", text).strip("_")
