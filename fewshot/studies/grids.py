"""The cells of a row: what a sweep runs and a report shows; imports nothing heavy."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fewshot import config
from fewshot.errors import UserError
from fewshot.studies.schema import Row, Values


class Cell(NamedTuple):
    """One run of a row.

    name: of its result file; label: in tables; position: its order in tables; values: value by
    axis; settings: nested, as a run of the row's regime takes them; reported: metric -> the
    report's number.
    """

    name: str
    label: str
    position: int
    values: Values
    settings: Values
    reported: dict[str, float]


def cells(row: Row, scale: str) -> list[Cell]:
    """Return the cells that are known before a row runs: all, but of a search the first step's.

    Raises:
        UserError: if the scale names an axis that the row does not have, or leaves no cell by an
            empty list of values.
    """
    known = _known_cells(row, scale)
    empty = [axis for axis, values in row.scale(scale).only.items() if not values]
    if empty and not known:
        raise UserError(
            f"{row.study}/{row.name}: scale {scale} runs nothing, because it lists no value of "
            f"'{empty[0]}'."
        )
    return known


def _check_axes(row: Row, scale: str) -> None:
    """Raise a UserError if a scale restricts an axis that the row does not have."""
    axes = {axis for block in row.grid for axis in (*block, *block.get("zip", ()))}
    axes |= {axis for step in row.steps for axis in step}
    changes = row.scale(scale)
    for axis in (*changes.only, *(axis for group in changes.drop for axis in group)):
        if axis not in axes:
            raise UserError(
                f"{row.study}/{row.name}: scale {scale} restricts '{axis}', which is no axis of it."
            )


def _known_cells(row: Row, scale: str) -> list[Cell]:
    if row.kind in ("grid", "episodes"):
        return [
            _cell(row, scale, values, position)
            for position, values in enumerate(_products(row, scale))
        ]
    if row.kind == "search":
        return [cell for start in searches(row, scale) for cell in step_cells(row, scale, 0, start)]
    if row.kind == "vote":
        pairs = itertools.product(row.rules, row.percents)
        return [
            _cell(row, scale, {"rule": rule, "best": best}, position)
            for position, (rule, best) in enumerate(pairs)
        ]
    return [Cell("all", row.title_at(scale), 0, {}, {}, {})]


def every_cell(row: Row, scale: str) -> list[Cell]:
    """Return the cells as if the scale left none out, with the settings of the scale."""
    whole = row.scale(scale).model_copy(update={"only": {}, "drop": ()})
    return cells(row.model_copy(update={"scales": {**row.scales, scale: whole}}), scale)


def count(row: Row, scale: str) -> int:
    """Return the largest number of cells that a row can have; a search may repeat a cell."""
    if row.kind != "search":
        return len(cells(row, scale))
    return len(searches(row, scale)) * _cells_of_steps(row, scale, len(row.steps))


def searches(row: Row, scale: str) -> list[Values]:
    """Return where each search of a row starts: a named value of its grid."""
    return list(_products(row, scale))


def step_cells(row: Row, scale: str, step: int, chosen: Values) -> list[Cell]:
    """Return the cells of one step of a search.

    Args:
        row: the row.
        scale: smoke, small or full.
        step: number of the step, from 0.
        chosen: the named value that the search started from, and each earlier step's best value.
    """
    axis, values = axis_of(row.steps[step])
    starts = [list(start.values()) for start in searches(row, scale)]
    search = starts.index([value for key, value in chosen.items() if key in row.grid[0]])
    first = search * _cells_of_steps(row, scale, len(row.steps)) + _cells_of_steps(row, scale, step)
    return [
        _cell(row, scale, {**chosen, axis: value}, first + number, step)
        for number, value in enumerate(_values_at(row, scale, axis, values))
    ]


def axis_of(step: Mapping[str, tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
    """Return the one axis of a search's step, and its values."""
    ((axis, values),) = step.items()
    return axis, values


def _cells_of_steps(row: Row, scale: str, n_steps: int) -> int:
    """Return the number of cells of the first steps of one search."""
    steps = row.steps[:n_steps]
    return sum(len(_values_at(row, scale, *axis_of(step))) for step in steps)


def _values_at(row: Row, scale: str, axis: str, values: Sequence[Any]) -> list[Any]:
    """Return the values of an axis that run at a scale."""
    only = row.scale(scale).only.get(axis)
    if only is None:
        return list(values)
    known = [*values, *(value for block in row.grid for value in block.get(axis, ()))]
    if unknown := [value for value in only if value not in known]:
        raise UserError(
            f"{row.study}/{row.name}: scale {scale} runs only {unknown[0]} of '{axis}', which has "
            "no such value."
        )
    return [value for value in values if value in only]


def _products(row: Row, scale: str) -> Iterator[Values]:
    """Yield the values of every cell, block by block."""
    _check_axes(row, scale)
    dropped = row.scale(scale).drop
    for block in row.grid:
        axes = [
            _zipped(row, scale, values)
            if axis == "zip"
            else [{axis: value} for value in _values_at(row, scale, axis, list(values))]
            for axis, values in block.items()
        ]
        for parts in itertools.product(*axes):
            values: Values = {}
            for part in parts:
                values |= part
            if not any(has_values(values, group) for group in dropped):
                yield values


def _zipped(row: Row, scale: str, axes: Mapping[str, Sequence[Any]]) -> list[Values]:
    """Return the values of axes that change together, as far as all of them run at this scale."""
    if len({len(values) for values in axes.values()}) != 1:
        raise UserError(f"{row.study}/{row.name}: the lists under 'zip' must be of one length.")
    at_scale = {axis: _values_at(row, scale, axis, values) for axis, values in axes.items()}
    tuples = [dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=True)]
    return [values for values in tuples if all(values[axis] in at_scale[axis] for axis in values)]


def has_values(values: Values, required: Mapping[str, Sequence[Any]]) -> bool:
    """Return whether a cell has, for every required axis, one of its values."""
    return all(axis in values and values[axis] in allowed for axis, allowed in required.items())


def _cell(row: Row, scale: str, values: Values, position: int, step: int | None = None) -> Cell:
    words, parts = [], []
    for axis, value in values.items():
        text = _plain(value)
        short = row.labels.get(axis, axis.rpartition(".")[2])
        named = _is_named(row, axis)
        word = f"no {short}" if named and text == "none" else text
        unit = "%" if (row.kind, axis) == ("vote", "best") else ""
        words.append(word if named else f"{short} {text}{unit}")
        parts.append(_slug(text) if named else f"{_slug(short)}={_slug(text)}")
    name, label = "-".join(parts), ", ".join(words)
    if step is not None:
        name, label = f"{step + 1}-{name}", f"{label}, (step {step + 1})"
    reported: dict[str, float] = {}
    for numbers in row.reported:
        if all(axis in values and values[axis] == value for axis, value in numbers.at.items()):
            reported |= numbers.numbers()
    settings = {} if row.kind == "vote" else _settings(row, scale, values)
    label = label or _of_the_base(row, scale)
    return Cell(name or "all", label, position, values, settings, reported)


def _of_the_base(row: Row, scale: str) -> str:
    """Return the label of the cell that changes nothing in the row's base."""
    among_others = len(row.grid) > 1  # then the title is of all of them
    return (row.stand_in({}, scale) if among_others else "") or row.title_at(scale)


def _is_named(row: Row, axis: str) -> bool:
    """Return whether the values of an axis are names of settings, rather than settings."""
    return any(isinstance(block.get(axis), dict) for block in row.grid)


def _settings(row: Row, scale: str, values: Values) -> Values:
    """Return a cell's settings.

    They are the base, below the named values, below what the scale sets, below the scale's variants
    of named values and the values of dotted axes.
    """
    changed = row.scale(scale)
    settings = config.overlay({"regime": "episodic"} if row.episodic else {}, row.base)
    for axis, value in values.items():
        for block in row.grid:
            named = block.get(axis)
            if isinstance(named, dict) and value in named:
                settings = config.overlay(settings, named[value])
                break
    settings = config.overlay(settings, changed.set)
    for axis, value in values.items():
        if _is_named(row, axis):
            variant = changed.variants.get(axis, {}).get(str(value), {})
            settings = config.overlay(settings, variant)
        else:
            settings = config.overlay(settings, {axis: value})
    return settings


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+]+", "_", text).strip("_")
