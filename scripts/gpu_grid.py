"""Run a grid of many small trainings at the same time on one GPU.

python -m scripts.gpu_grid --out DIR [--row FILE] [--scale full] [--device cuda] [--seconds 180]

The row is A4 of study architectures by default: 72 settings of a small CNN with three trials each.
One such training leaves most of a large GPU idle, because it waits for the start of its kernels.
So `--processes` trials run at the same time, each in a process of its own with one CPU thread, and
through CUDA's Multi-Process Service where it can be started (`scripts/gpu_mps.py`).

Settings with a number of the report run first, then those that differ from one of them in the
fewest values. All trials of a setting run before those of the next, so that a short campaign ends
with whole settings. After `--seconds`, or a signal, the trainings save their state and stop; the
same command continues. DIR receives `records/grid.json`, the run folders in `runs/grid`, and in
`results` the same files as from `fewshot sweep`. The weights of finished trials are deleted.

The seconds of a trial are those of a process that shares its GPU with all others.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from fewshot import io
from fewshot.errors import Interrupted, one_line
from fewshot.studies import executors, grids, schema
from fewshot.studies.grids import Cell
from fewshot.studies.results import ResultStore
from fewshot.studies.schema import Row
from scripts.gpu_mps import multi_process_service

ROW = Path(__file__).parent.parent / "configs" / "studies" / "architectures" / "A4.yaml"
PROCESSES = 18
SAVE_SECONDS = 15.0  # of the time, for the trainings to save their state
UNFINISHED = 3  # the exit code if the time ended before the grid


class Job(NamedTuple):
    """One trial of a cell."""

    cell: Cell
    seed: int


def ordered_cells(row: Row, scale: str) -> list[Cell]:
    """Return the cells of a row, those first that differ least from one with a reported number."""
    cells = grids.cells(row, scale)
    reported = [cell for cell in cells if cell.reported]

    def distance(cell: Cell) -> int:
        """Return in how many values a cell differs from the nearest with a reported number."""
        return min(
            (
                sum(cell.values[axis] != other.values.get(axis) for axis in cell.values)
                for other in reported
            ),
            default=0,
        )

    return sorted(cells, key=lambda cell: (distance(cell), cell.position))


class Grid:
    """The cells of a row that have no result yet, and the trials that run for them.

    Args:
        row: the row of a study, of kind grid.
        store: where runs and results are written, and the scale.
        device: cpu, cuda or cuda:1.
    """

    def __init__(self, row: Row, store: ResultStore, device: str) -> None:
        self.row, self.store, self.device = row, store, device
        self.seeds = list(range(row.trials_at(store.scale)))
        self.cells = ordered_cells(row, store.scale)
        self.missing = [cell for cell in self.cells if store.finished(row, cell) is None]
        self.left = {cell.name: len(self.seeds) for cell in self.missing}
        self.failed: dict[str, str] = {}
        self.n_trials = 0  # that ended in this call

    def jobs(self) -> Iterator[Job]:
        """Yield the trials in their order, without those of a cell that has failed meanwhile."""
        for cell in self.missing:
            for seed in self.seeds:
                if cell.name not in self.failed:
                    yield Job(cell, seed)

    def ended(self, job: Job, reason: str | None) -> None:
        """Note the end of a trial; write the result of its cell if it was the last, or failed.

        Args:
            job: the trial.
            reason: why it failed; None if it is finished.
        """
        cell = job.cell
        self.n_trials += reason is None
        self.left[cell.name] -= 1
        if reason is not None and cell.name not in self.failed:
            self.failed[cell.name] = reason
            self.store.write(self.row, cell, executors.outcome("failed", reason=reason))
        elif cell.name not in self.failed and not self.left[cell.name]:
            folder = self.store.runs_folder
            result = executors.run_cell(cell.settings, self.seeds, folder, self.device, workers=1)
            self.store.write(self.row, cell, result)
            if result["status"] != "done":
                self.failed[cell.name] = str(result["reason"])

    def summary(self) -> dict[str, Any]:
        """Return the progress of the grid, and its most accurate cell so far."""
        results = [result for cell in self.cells if (result := self.store.finished(self.row, cell))]
        accuracies = {
            result["label"]: float(result["record"]["scores"]["accuracy"]["mean"])
            for result in results
            if result["record"] is not None
        }
        best = max(accuracies, key=lambda label: accuracies[label], default=None)
        return {
            "row": f"{self.row.study}/{self.row.name}",
            "scale": self.store.scale,
            "settings": len(self.cells),
            "done": len(results),
            "failed": len(self.failed),
            "failures": self.failed,
            "trials_each": len(self.seeds),
            "trials_now": self.n_trials,
            "best": best,
            "best_accuracy": None if best is None else accuracies[best],
            "mean_accuracy": fmean(accuracies.values()) if accuracies else None,
        }


def run(grid: Grid, n_processes: int, seconds: float) -> bool:
    """Run trials, a number of them at a time, until all have ended or the time has.

    Returns:
        Whether all have ended.

    Raises:
        Interrupted: after SIGINT or SIGTERM, once the trainings have saved their state.
    """
    deadline = time.monotonic() + seconds - SAVE_SECONDS
    context = multiprocessing.get_context("spawn")
    waiting, running = grid.jobs(), dict[Future[str | None], Job]()
    with ProcessPoolExecutor(n_processes, context, initializer=_begin_worker) as pool:
        try:
            while True:
                while len(running) < n_processes and (job := next(waiting, None)) is not None:
                    running[_submit(pool, job, grid)] = job
                if not running:
                    return True
                left = max(0.0, min(deadline - time.monotonic(), threading.TIMEOUT_MAX))
                done, _ = wait(running, left, FIRST_COMPLETED)
                for future in done:
                    grid.ended(running.pop(future), future.result())
                if not done:
                    return False
        finally:
            for child in multiprocessing.active_children():
                child.terminate()  # a training saves its state


def _submit(pool: ProcessPoolExecutor, job: Job, grid: Grid) -> Future[str | None]:
    return pool.submit(_run_trial, job.cell.settings, job.seed, grid.store.runs_folder, grid.device)


def _begin_worker() -> None:
    """Prepare a process for its trials."""
    from fewshot.runs import processes
    from fewshot.training import trainer

    processes.follow_parent()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # without a trial; the end of the pool ends it
    # Many processes would write their states all the time; each writes its own at a signal.
    trainer.CHECKPOINT_SECONDS = math.inf


def _run_trial(settings: Mapping[str, Any], seed: int, out: Path, device: str) -> str | None:
    """Run one trial in a worker; return why it failed, or None."""
    from fewshot.runs import experiment, records, trial_files

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        record = experiment.run(settings, [seed], out=out, device=device)
    except Exception as error:
        return f"{type(error).__name__}: {one_line(error, longest=300)}"
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    folder = records.trial_folder(out / record.run_id, seed)
    (folder / trial_files.WEIGHTS).unlink(missing_ok=True)
    return None


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted


def main(words: Sequence[str] | None = None) -> int:
    """Run the grid, write its summary and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--row", type=Path, default=ROW, help="YAML file of a row of kind grid")
    parser.add_argument("--scale", choices=schema.SCALES, default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--seconds", type=float, default=math.inf)
    options = parser.parse_args(words)
    (row,) = schema.read([options.row])
    runs, results = options.out / "runs" / "grid", options.out / "results"
    for folder in (options.out / "records", runs, results):
        io.make_folder(folder)
    os.environ["OMP_NUM_THREADS"] = "1"  # of each process
    signal.signal(signal.SIGTERM, _interrupt)
    grid = Grid(row, ResultStore(options.scale, runs, results), options.device)
    began, complete = time.monotonic(), False
    with multi_process_service(options.device) as has_mps:
        try:
            left = options.seconds - (time.monotonic() - began)
            complete = run(grid, options.processes, left)
        except KeyboardInterrupt:
            print("interrupted; the same command continues", file=sys.stderr)
            return 130
        except BrokenProcessPool as error:
            print(f"a process died: {one_line(error)}", file=sys.stderr)
            return 1
        finally:
            how = {"processes": options.processes, "mps": has_mps, "device": options.device}
            took = {"seconds": round(time.monotonic() - began, 1)}
            summary = {**grid.summary(), **how, **took}
            io.write_json(options.out / "records" / "grid.json", summary)
    done, n_cells = summary["done"], summary["settings"]
    print(f"{done} of {n_cells} settings done, {summary['trials_now']} trials in this call")
    if not complete:
        return UNFINISHED
    return int(bool(grid.failed))


if __name__ == "__main__":
    sys.exit(main())
