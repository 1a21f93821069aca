"""Run what is missing of studies, one cell after the other or several at a time through Ray."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fewshot import io, progress
from fewshot.errors import NotHere, UserError
from fewshot.runs.run_record import RunRecord
from fewshot.studies import grids, other_order, staleness
from fewshot.studies.executors import Executor, OneByOne, outcome
from fewshot.studies.grids import Cell
from fewshot.studies.ray_executor import InRay
from fewshot.studies.results import Benchmark, Outcome, Result, ResultStore
from fewshot.studies.schema import Row

Chain = Generator[list[Cell], dict[str, Result], None]
OnCell = Callable[[Row, Cell, Result | None], None]


def _ignore(row: Row, cell: Cell, result: Result | None) -> None:
    """Do nothing when a cell starts or ends."""


def run(
    rows: Sequence[Row],
    store: ResultStore,
    *,
    device: str | None = None,
    workers: int = 1,
    address: str | None = None,
    shard: tuple[int, int] = (1, 1),
    on_cell: OnCell = _ignore,
) -> None:
    """Run every cell that has no finished result, or a stale one.

    A failed cell also has a result, and the others run on; it runs again in the next sweep. If the
    sweep is interrupted, the same call resumes it.

    Args:
        rows: the rows of one or several studies.
        store: where runs and results are written, and the scale.
        device: cpu, cuda, cuda:1, or None for a GPU if there is one.
        workers: number of cells at the same time; more than one needs Ray.
        address: of a running Ray cluster that shares the folders.
        shard: (i, n) for the i-th of every n searches and cells of grids, without votes and
            benchmarks, because these read all of them.
        on_cell: called when a cell starts, with result None, and when it has ended.
    """
    io.make_folder(store.results_folder)
    local = workers == 1 and not address
    executor: Executor = OneByOne(device) if local else InRay(workers, address, device)
    last = [row for row in rows if row.kind in ("vote", "benchmark")]
    with_runs = [row for row in rows if row not in last]
    chains = [(row, chain) for row in with_runs for chain in _chains(row, store.scale)]
    index, n_shards = shard
    chains = chains[index - 1 :: n_shards]
    with executor:
        _run_chains(chains, store, executor, on_cell)
    for row in last if n_shards == 1 else ():
        for cell in grids.cells(row, store.scale):
            on_cell(row, cell, None)
            result = store.write(row, cell, _combine(row, cell, rows, store))
            on_cell(row, cell, result)


def _chains(row: Row, scale: str) -> Iterator[Chain]:
    """Yield a row's independent chains of runs; each yields cells and is sent their results."""
    if row.kind == "search":
        for start in grids.searches(row, scale):
            yield _search(row, scale, start)
    else:
        for cell in grids.cells(row, scale):
            yield _single(cell)


def _single(cell: Cell) -> Chain:
    yield [cell]


def _search(row: Row, scale: str, start: Mapping[str, Any]) -> Chain:
    """Go through the steps of a search.

    Each step continues with the value of the highest mean validation accuracy, the first of equals.
    """
    chosen = dict(start)
    for number, step in enumerate(row.steps):
        axis, _ = grids.axis_of(step)
        results = yield grids.step_cells(row, scale, number, chosen)
        # In the order of the table: results come in the order in which they end.
        ordered = sorted(results.values(), key=lambda result: result["position"])
        done = [result for result in ordered if result["status"] == "done"]
        if not done:
            return
        best = max(done, key=lambda result: _validation_accuracy(row, result))
        chosen[axis] = best["values"][axis]


def _validation_accuracy(row: Row, result: Result) -> float:
    validation = RunRecord.from_json(result["record"]).validation if result["record"] else None
    if validation is None:
        raise UserError(
            f"{row.study}/{row.name}: a search chooses by validation accuracy, so its base needs "
            "a validation section."
        )
    return validation["accuracy"].mean


class _Step(NamedTuple):
    """The cells that a chain waits for, by name, and those of their results that are there."""

    row: Row
    chain: Chain
    cells: dict[str, Cell]
    results: dict[str, Result]

    @property
    def complete(self) -> bool:
        return len(self.results) == len(self.cells)


def _run_chains(
    chains: Sequence[tuple[Row, Chain]], store: ResultStore, executor: Executor, on_cell: OnCell
) -> None:
    waiting: dict[Any, tuple[_Step, Cell]] = {}

    def submit(row: Row, chain: Chain, cells: Sequence[Cell]) -> _Step:
        """Submit the cells without a finished result."""
        step = _Step(row, chain, {cell.name: cell for cell in cells}, {})
        for cell in cells:
            result = store.finished(row, cell)
            if result is not None and not _is_stale(result):
                step.results[cell.name] = result
                continue
            seeds = list(range(row.trials_at(store.scale)))
            handle = executor.submit(cell.settings, seeds, store.runs_folder)
            waiting[handle] = step, cell
        return step

    def advance(row: Row, chain: Chain, results: dict[str, Result] | None) -> None:
        """Go on with a chain until it waits for a cell, or has ended."""
        while True:
            try:
                cells = next(chain) if results is None else chain.send(results)
            except StopIteration:
                return
            step = submit(row, chain, cells)
            if not step.complete:
                return
            results = step.results

    def start(handle: Any) -> None:
        step, cell = waiting[handle]
        on_cell(step.row, cell, None)
        progress.update(f"{step.row.name} {cell.label}")

    for row, chain in chains:
        advance(row, chain, None)
    while waiting:
        handle, ended = executor.wait(list(waiting), start)
        step, cell = waiting.pop(handle)
        result = store.write(step.row, cell, ended)
        step.results[cell.name] = result
        on_cell(step.row, cell, result)
        if step.complete:
            advance(step.row, step.chain, step.results)


def _is_stale(result: Result) -> bool:
    """Return whether a result is stale; one that cannot be checked here is not."""
    try:
        return staleness.is_stale(result)
    except UserError:
        return False


def _combine(row: Row, cell: Cell, rows: Sequence[Row], store: ResultStore) -> Outcome:
    """Return a vote over the runs of other rows, or a measurement that is no run."""
    try:
        if row.kind == "vote":
            return _vote(row, cell, _results_read(row, rows, store), store)
        if row.benchmark == "cost":
            return outcome("done", record=_cost(_results_read(row, rows, store)))
        if row.benchmark == "other order":
            return outcome("done", record=other_order.measure(_results_read(row, rows, store)))
        finished = store.finished(row, cell)
        if finished is not None:
            return outcome("done", record=finished["record"])
        from fewshot.studies import loader_timing

        return outcome("done", record=loader_timing.measure(smoke=store.scale == "smoke"))
    except NotHere as error:
        return outcome("not run", reason=str(error))
    except UserError as error:
        return outcome("failed", reason=str(error))


def _results_read(row: Row, rows: Sequence[Row], store: ResultStore) -> list[Result]:
    """Return the finished results of other rows that a vote or a benchmark reads."""
    by_name = {other.name: other for other in rows if other.study == row.study}
    required = row.rows_at(store.scale)
    if missing := [name for name in required if name not in by_name]:
        raise NotHere(f"it reads row {missing[0]}, which this sweep leaves out.")
    results: list[Result] = []
    for name, values in required.items():
        results += [
            result
            for result in store.current_results_of(by_name[name])
            if result["status"] == "done" and grids.has_values(result["values"], values)
        ]
    return results


def _vote(row: Row, cell: Cell, results: Sequence[Result], store: ResultStore) -> Outcome:
    run_ids = sorted({result["run"] for result in results if result["run"] is not None})
    if not run_ids:
        raise NotHere(f"none of the runs of {', '.join(row.rows_at(store.scale))} is done.")
    from fewshot.runs import voting

    record, *_ = voting.vote(
        [store.runs_folder / run_id for run_id in run_ids],
        rule=cell.values["rule"],
        percents=[cell.values["best"]],
        pool=True,
        out=store.runs_folder,
    )
    return outcome("done", record=record.to_json(), run=record.run_id)


class _Cost(NamedTuple):
    trainings: int = 0
    hours: float = 0.0


def _cost(results: Sequence[Result]) -> Benchmark:
    """Return a table of trainings and hours by row; a run that two cells share counts once."""
    costs: dict[str, _Cost] = {}
    machines: set[str] = set()
    counted: set[str | None] = set()
    for result in results:
        if result["record"] is None or result["run"] in counted:
            continue
        counted.add(result["run"])
        record = RunRecord.from_json(result["record"])
        machines.add(record.provenance.device)
        n = len(record.seeds)
        cost = costs.get(result["row"], _Cost())
        seconds = record.cost.seconds or record.cost.adapt_seconds
        hours = cost.hours + n * seconds / 3600
        costs[result["row"]] = _Cost(cost.trainings + n, hours)
    table: list[list[Any]] = [
        [name, cost.trainings, round(cost.hours, 4)] for name, cost in costs.items()
    ]
    n_trainings = sum(cost.trainings for cost in costs.values())
    table.append(["all", n_trainings, round(sum(hours for _, _, hours in table), 4)])
    return {
        "kind": "benchmark",
        "what": "trainings, and hours without evaluation, of the rows of this scale",
        "machine": ", ".join(sorted(machines)),
        "columns": ["row", "trainings", "hours"],
        "rows": table,
    }
