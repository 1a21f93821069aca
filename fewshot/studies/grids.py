"""The cells of a row: what a sweep runs and a report shows. Imports nothing heavy."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fewshot import config
from fewshot.errors import UserError
from fewshot.studies.schema import Row, Values


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


def cells(row: Row, scale: str) -> list[Cell]:
    """The cells of a row that are known before it runs: all, but of a search those of the first step."""
    if row.kind == "grid":
        return [
            _cell(row, scale, values, number) for number, values in enumerate(_products(row, scale))
        ]
    if row.kind == "search":
        return [cell for start in searches(row, scale) for cell in step_cells(row, scale, 0, start)]
    if row.kind == "vote":
        pairs = itertools.product(row.rules, row.percents)
        return [
            _cell(row, scale, {"rule": rule, "best": best}, number)
            for number, (rule, best) in enumerate(pairs)
        ]
    return [Cell("all", row.title, 0, {}, {}, {})]


def count(row: Row, scale: str) -> int:
    """How many cells a row has, at most: a search may come back to a cell."""
    if row.kind != "search":
        return len(cells(row, scale))
    return len(searches(row, scale)) * sum(
        len(_kept(row, scale, *only(step))) for step in row.steps
    )


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
    return [
        _cell(row, scale, {**found, axis: value}, first + number, step)
        for number, value in enumerate(kept)
    ]


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
                    raise UserError(
                        f"{row.study}/{row.name}: the lists under 'zip' must be of one length."
                    )
                kept = {key: _kept(row, scale, key, each) for key, each in values.items()}
                together = [
                    dict(zip(values, each, strict=True))
                    for each in zip(*values.values(), strict=True)
                ]
                axes.append(
                    [each for each in together if all(each[key] in kept[key] for key in each)]
                )
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
    words = [
        _plain(value) if _named(row, key) else f"{short[key]} {_plain(value)}"
        for key, value in values.items()
    ]
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
    settings = config.overlay({}, row.base)
    for axis, value in values.items():
        for block in row.grid:
            if isinstance(block.get(axis), dict):
                settings = config.overlay(settings, block[axis][value])
                break
    settings = config.overlay(settings, changed.set)
    for axis, value in values.items():
        if _named(row, axis):
            settings = config.overlay(settings, changed.variants.get(axis, {}).get(str(value), {}))
        elif row.kind != "vote":
            settings = config.overlay(settings, {axis: value})
    return settings


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+]+", "_", text).strip("_")
