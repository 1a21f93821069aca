"""How a sweep runs its cells: one by one in this process, or several at a time through Ray."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from episodes.datasets import drafts
from fewshot.errors import Interrupted, NotHere, UserError, one_line
from fewshot.runs import experiment, records
from fewshot.runs.run_record import Record
from fewshot.studies import node_checks
from fewshot.studies.results import Benchmark, Outcome, Status

CURVES = ("train_loss", "validation_loss", "validation_accuracy")
TRIES = 5  # of a cell whose worker died
CONNECT_SECONDS = 10.0
RAY_FOLDER = "fewshot-ray-"  # begins a name that is short, because paths of sockets must be


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
            record = experiment.run(
                settings,
                seeds,
                out=runs_folder,
                device=device,
                workers=workers,
                threads=threads,
            )
            result = record.to_json()
            curves = _curves(runs_folder / record.run_id, seeds)
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


def _curves(folder: Path, seeds: Sequence[int]) -> dict[str, list[Any]] | None:
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


def run_cell_on_node(
    requirements: node_checks.Requirements,
    settings: Mapping[str, Any],
    seeds: Sequence[int],
    device: str | None,
    threads: int,
) -> Outcome:
    """Run one cell on a node of a cluster, unless the node differs from what the sweep needs."""
    reason = node_checks.difference(requirements)
    if reason is not None:
        return outcome("failed", reason=reason)
    return run_cell(settings, seeds, requirements.runs_folder, device, 1, threads)


class InRay:
    """Run cells as tasks of Ray, on this machine or on a cluster that shares the folders.

    A cell whose worker or node died starts again.
    """

    def __init__(self, workers: int, address: str | None, device: str | None) -> None:
        # Ray must not hide the GPUs from a task that asks for none, and must not report usage.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # Ray lowers the priority of its workers, so they would starve beside any other program.
        os.environ.setdefault("RAY_worker_niceness", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")  # it would warn on stderr
        if address is None:  # Ray would listen at every address of this machine
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        try:
            import ray
        except ImportError:
            raise UserError(
                "--workers and --ray-address need Ray, which is not installed: pip install "
                "'fewshot[ray]'."
            ) from None
        self.ray, self.workers, self.address, self.device = ray, workers, address, device
        self.started: set[Any] = set()
        self.required: dict[Path, node_checks.Requirements] = {}
        self.cleanup = ExitStack()

    def __enter__(self) -> InRay:
        try:
            return self._enter()
        except BaseException:
            self.cleanup.close()
            raise

    def _enter(self) -> InRay:
        from fewshot.training import devices

        # Ray would set one thread; cells run with as many as they have without Ray.
        self.threads = devices.default_threads()
        if self.address:
            self._join(self.address)
        else:
            self._start()
        gpus = 1 if (self.device or "").startswith("cuda") else 0
        as_task = self.ray.remote(
            num_cpus=1, num_gpus=gpus, max_retries=TRIES, max_calls=1 if gpus else 0
        )
        self.task: Any = as_task(run_cell_on_node if self.address else run_cell)
        return self

    def _start(self) -> None:
        """Start Ray on this machine, with a token that no other process knows."""
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:  # Ray would write one into the home folder
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        options: dict[str, Any] = {"num_cpus": self.workers, "include_dashboard": False}
        # Ray would write into one folder of all sessions, and never remove anything.
        base = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")
        folder = self.cleanup.enter_context(drafts.draft_folder(base, RAY_FOLDER))
        options["_temp_dir"] = str(folder)
        self._connect("local", **options)

    def _join(self, address: str) -> None:
        """Join a running cluster; as many cells as it has processors run at the same time."""
        try:
            _check_answers(address)
            self._connect(address)
        except (OSError, ValueError, RuntimeError, self.ray.exceptions.RayError) as error:
            raise UserError(
                f"the Ray cluster at {address} could not be joined ({one_line(error)}): check that "
                "`ray status` works on this node, with the same variables RAY_AUTH_MODE and "
                "RAY_AUTH_TOKEN_PATH as on the others."
            ) from None
        self.workers = max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    def _connect(self, address: str, **options: Any) -> None:
        import logging

        from fewshot.training import curves

        variables = curves.environment()
        if variables:  # a runtime environment costs seconds
            options["runtime_env"] = {"env_vars": variables}
        self.cleanup.callback(self.ray.shutdown)
        on_termination = signal.getsignal(signal.SIGTERM)
        try:
            self.ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except SystemExit:  # Ray's answer to SIGTERM
            raise Interrupted from None
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_termination)

    def __exit__(self, *error: object) -> None:
        self.cleanup.close()

    def submit(self, settings: Mapping[str, Any], seeds: Sequence[int], runs_folder: Path) -> Any:
        """Give a cell to Ray and return its handle."""
        folder = runs_folder.resolve()
        if not self.address:
            return self.task.remote(settings, seeds, folder, self.device, 1, self.threads)
        if folder not in self.required:
            self.required[folder] = node_checks.required_by(folder)
        return self.task.remote(self.required[folder], settings, seeds, self.device, self.threads)

    def wait(self, handles: Sequence[Any], on_start: Callable[[Any], None]) -> tuple[Any, Outcome]:
        """Wait until one of these cells has ended, and return its handle and outcome.

        Ray does not say which cells have started, so `on_start` is called for as many of the oldest
        as there are workers.
        """
        for handle in handles[: self.workers]:
            if handle not in self.started:
                self.started.add(handle)
                on_start(handle)
        (ready, *_), _ = self.ray.wait(list(handles), num_returns=1)
        try:
            return ready, self.ray.get(ready)
        except self.ray.exceptions.RayError as error:
            reason = f"its worker died ({one_line(error)})."
            return ready, outcome("failed", reason=reason)


def _check_answers(address: str) -> None:
    """Raise OSError if nothing answers at host:port, for which Ray would wait for minutes."""
    match = re.fullmatch(r"\[?([^/]+?)\]?:(\d{1,5})", address)
    if match is not None:
        socket.create_connection((match[1], int(match[2])), timeout=CONNECT_SECONDS).close()
