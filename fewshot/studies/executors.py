"""What a sweep needs of an executor, and the one that runs cell after cell in this process."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from fewshot.errors import NotHere, UserError, one_line
from fewshot.runs import records
from fewshot.runs.run_record import Record
from fewshot.studies.results import Benchmark, Outcome, Status

CURVES = ("train_loss", "validation_loss", "validation_accuracy")


class Executor(Protocol):
    """What `sweep.run` needs of an executor; handles are whatever `submit` returns."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def submit(
        self, settings: Mapping[str, Any], seeds: Sequence[int], runs_folder: Path
    ) -> Any: ...

    def wait(
        self, handles: Sequence[Any], on_start: Callable[[Any], None]
    ) -> tuple[Any, Outcome]: ...


def run_cell(
    settings: Mapping[str, Any],
    seeds: Sequence[int],
    runs_folder: Path,
    device: str | None,
    workers: int | None = None,
    threads: int | None = None,
) -> Outcome:
    """Run one cell and return what became of it; an error is an outcome too.

    This function may run in another process. Its trials run one after the other if `workers` is 1,
    and otherwise as many long ones at once as fit on the cores.
    """
    curves = None
    try:
        if settings.get("regime") == records.EPISODIC:
            from fewshot.runs.episodic import experiment as episodic

            result: Record = episodic.run(
                settings, out=runs_folder, device=device, threads=threads
            ).to_json()
        else:
            from fewshot.runs import experiment

            record = experiment.run(
                settings,
                seeds,
                out=runs_folder,
                device=device,
                workers=workers,
                threads=threads,
            )
            result = record.to_json()
            trials = record.seeds[:1] if record.has_one_trial else seeds
            curves = _curves(runs_folder / record.run_id, trials)
    except NotHere as error:
        return outcome("not run", reason=str(error))
    except UserError as error:
        return outcome("failed", reason=str(error))
    except Exception as error:
        frames = traceback.format_exc(limit=-8)
        reason = f"{type(error).__name__}: {one_line(error, longest=300)}"
        return {**outcome("failed", reason=reason), "trace": frames}
    return outcome("done", record=result, curves=curves, run=result["run_id"])


def outcome(
    status: Status,
    *,
    reason: str | None = None,
    record: dict[str, Any] | Benchmark | None = None,
    curves: dict[str, list[Any]] | None = None,
    run: str | None = None,
) -> Outcome:
    """Return what became of a cell: done, failed or not run."""
    return {"status": status, "reason": reason, "record": record, "curves": curves, "run": run}


def _curves(folder: Path, seeds: Sequence[int | None]) -> dict[str, list[Any]] | None:
    """Return what the trials of a run logged, or None if they logged less than two entries.

    The epochs are those of the longest trial; a trial that stopped earlier has null after its end.
    """
    logs = [_log_entries(records.trial_folder(folder, seed) / "metrics.jsonl") for seed in seeds]
    longest = max(logs, key=len)
    if len(longest) < 2:
        return None
    curves: dict[str, list[Any]] = {"epoch": [entry["epoch"] for entry in longest]}
    for key in CURVES:
        if key in longest[-1]:
            curves[key] = [_padded(entries, key, len(longest)) for entries in logs]
    return curves


def _log_entries(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _padded(entries: Sequence[Mapping[str, Any]], key: str, length: int) -> list[float | None]:
    values = [_rounded(entry.get(key)) for entry in entries]
    return values + [None] * (length - len(values))


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 5)


class _Submitted(NamedTuple):
    settings: Mapping[str, Any]
    seeds: Sequence[int]
    runs_folder: Path


class OneByOne:
    """Run cells in this process, in the order in which they were submitted."""

    def __init__(self, device: str | None) -> None:
        self.device = device
        self.submitted: list[_Submitted] = []

    def __enter__(self) -> OneByOne:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, settings: Mapping[str, Any], seeds: Sequence[int], runs_folder: Path) -> int:
        """Return a handle of a cell, which runs when `wait` comes to it."""
        self.submitted.append(_Submitted(settings, seeds, runs_folder))
        return len(self.submitted) - 1

    def wait(self, handles: Sequence[int], on_start: Callable[[int], None]) -> tuple[int, Outcome]:
        """Run the first of these cells and return its handle and outcome."""
        first = min(handles)
        on_start(first)
        return first, run_cell(*self.submitted[first], self.device)
