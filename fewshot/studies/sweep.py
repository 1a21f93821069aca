"""Runs what is missing of studies: one after the other, or through Ray; every cell's result is a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fewshot import io
from fewshot.errors import NotHere, UserError
from fewshot.runs import records, voting
from fewshot.studies import grids, loader_timing
from fewshot.studies.executors import InRay, OneByOne, outcome_of
from fewshot.studies.grids import Cell
from fewshot.studies.results import Places, Result
from fewshot.studies.schema import Row

Chain = Generator[list[Cell], dict[str, Result], None]


def run(
    rows: Sequence[Row],
    places: Places,
    *,
    device: str | None = None,
    workers: int = 1,
    address: str | None = None,
    shard: tuple[int, int] = (1, 1),
    tell: Callable[[Row, Cell, Result | None], None] = lambda row, cell, result: None,
) -> None:
    """Run every cell that has no finished result; what fails is kept as a result too, and the rest goes on.

    workers: cells at once, through Ray where there is more than one or an address of a cluster is given; shard (i, n):
    of the searches and the cells of grids only the i-th of every n, without votes and benchmarks, which look at all.
    tell: called when a cell begins (result None) and when it ended.
    Raises KeyboardInterrupt where interrupted: the same call continues.
    """
    io.make_folder(places.results)
    executor = InRay(workers, address, device) if workers > 1 or address else OneByOne(device)
    last = [row for row in rows if row.kind in ("vote", "benchmark")]
    chains = [
        (row, chain) for row in rows if row not in last for chain in _chains(row, places.scale)
    ]
    chains = [pair for number, pair in enumerate(chains) if number % shard[1] == shard[0] - 1]
    with executor:
        _run_chains(chains, places, executor, tell)
    for row in last if shard[1] == 1 else ():
        for cell in grids.cells(row, places.scale):
            tell(row, cell, None)
            tell(row, cell, _combine(row, cell, rows, places))


def _chains(row: Row, scale: str) -> Iterator[Chain]:
    """A row's runs as chains, which are independent: each yields cells and is sent their results."""
    if row.kind == "search":
        for start in grids.searches(row, scale):
            yield _search(row, scale, start)
    else:
        for cell in grids.cells(row, scale):
            yield _single(cell)


def _single(cell: Cell) -> Chain:
    yield [cell]


def _search(row: Row, scale: str, start: Mapping[str, Any]) -> Chain:
    """One step after the other; the best mean validation accuracy is kept, of equal ones the first."""
    found = dict(start)
    for number, step in enumerate(row.steps):
        axis, _ = grids.only(step)
        results = yield grids.step_cells(row, scale, number, found)
        judged = [each for each in results.values() if each["status"] == "done"]
        if not judged:
            return
        found[axis] = max(judged, key=lambda each: _validation(row, each))["values"][axis]


def _validation(row: Row, result: Result) -> float:
    held_out = result["record"]["validation"]
    if held_out is None:
        raise UserError(
            f"{row.study}/{row.name}: a search chooses by validation accuracy, and the base has no validation."
        )
    return held_out["accuracy"]["mean"]


class _State(NamedTuple):
    """A chain on its way: the cells it waits for, by name, and the results that are there."""

    row: Row
    chain: Chain
    cells: dict[str, Cell]
    results: dict[str, Result]


def _run_chains(
    chains: Sequence[tuple[Row, Chain]],
    places: Places,
    executor: OneByOne | InRay,
    tell: Callable[[Row, Cell, Result | None], None],
) -> None:
    waiting: dict[Any, tuple[_State, Cell]] = {}

    def advance(row: Row, chain: Chain, results: dict[str, Result] | None) -> None:
        while True:
            try:
                cells = next(chain) if results is None else chain.send(results)
            except StopIteration:
                return
            state = _State(row, chain, {cell.name: cell for cell in cells}, {})
            for cell in cells:
                known = places.finished(row, cell)
                if known is not None:
                    state.results[cell.name] = known
                else:
                    seeds = list(range(row.draws(places.scale)))
                    waiting[executor.submit(cell.settings, seeds, places.out)] = state, cell
            if len(state.results) < len(cells):
                return
            results = state.results

    for row, chain in chains:
        advance(row, chain, None)
    while waiting:
        handle, outcome = executor.wait(
            list(waiting), lambda each: tell(waiting[each][0].row, waiting[each][1], None)
        )
        state, cell = waiting.pop(handle)
        state.results[cell.name] = places.write(state.row, cell, outcome)
        tell(state.row, cell, state.results[cell.name])
        if len(state.results) == len(state.cells):
            advance(state.row, state.chain, state.results)


def _combine(row: Row, cell: Cell, rows: Sequence[Row], places: Places) -> Result:
    """A vote over the runs of other rows, or a measurement that is no run."""
    named = {each.name: each for each in rows if each.study == row.study}
    try:
        if missing := [name for name in row.members(places.scale) if name not in named]:
            raise NotHere(f"it looks at row {missing[0]}, which this sweep leaves out.")
        results = [
            result
            for name, wanted in row.members(places.scale).items()
            for result in places.of(named[name])
            if result["status"] == "done" and grids.fits(result["values"], wanted)
        ]
        if row.kind == "vote":
            members = sorted({result["run"] for result in results})
            if not members:
                raise NotHere(
                    f"none of the runs of {', '.join(row.members(places.scale))} is done."
                )
            record = voting.vote(
                [places.out / run_id for run_id in members],
                rule=cell.values["rule"], percents=[cell.values["best"]], pool=True, out=places.out,
            )[0]  # fmt: skip
            outcome = outcome_of("done", record=record, run=record["run_id"])
        elif row.benchmark == "cost":
            outcome = outcome_of("done", record=_cost(results))
        else:
            known = places.finished(row, cell)
            record = (
                known["record"]
                if known is not None
                else loader_timing.measure(smoke=places.scale == "smoke")
            )
            outcome = outcome_of("done", record=record)
    except NotHere as error:
        outcome = outcome_of("not run", reason=str(error))
    except UserError as error:
        outcome = outcome_of("failed", reason=str(error))
    return places.write(row, cell, outcome)


def _cost(results: Sequence[Result]) -> Result:
    """Trainings and hours of the rows looked at, from the records of their runs; a run that two cells share is once."""
    table: dict[str, list[Any]] = {}
    seen: set[str] = set()
    for result in results:
        if result["run"] in seen:
            continue
        seen.add(result["run"])
        record = result["record"]
        n = len(record["seeds"])
        entry = table.setdefault(result["row"], [result["row"], 0, 0.0])
        entry[1] += n
        entry[2] += n * records.seconds(record) / 3600
    rows = [[name, n, round(hours, 4)] for name, n, hours in table.values()]
    rows.append(["all", sum(row[1] for row in rows), round(sum(row[2] for row in rows), 4)])
    machines = sorted({result["record"]["provenance"]["device"] for result in results})
    what = "trainings, and hours of training and judging, of the rows of this scale"
    return {"kind": "benchmark", "what": what, "machine": ", ".join(machines), "columns": ["row", "trainings", "hours"],
            "rows": rows}  # fmt: skip
