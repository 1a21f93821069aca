"""Run the cells of a sweep through Ray, on this machine or on a cluster."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from episodes.datasets import drafts
from fewshot.errors import Interrupted, ProcessLost, UserError, one_line
from fewshot.studies import node_checks
from fewshot.studies.executors import outcome, run_cell
from fewshot.studies.results import Outcome
from fewshot.training import cores, curves

TRIES = 5  # of a cell whose worker died
CONNECT_SECONDS = 10.0
CHECK_SECONDS = 10.0  # between two checks that Ray still runs, while cells do
RAY_FOLDER = "fewshot-ray-"  # begins a name that is short, because paths of sockets must be


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
        # Ray would start workers before anything is submitted, and wait forever if one dies then.
        os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
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
        # Ray would set one thread; cells run with as many as they have without Ray.
        self.threads = cores.default_threads()
        if self.address:
            self._join(self.address)
        else:
            self._start()
        gpus = self._gpus_of_a_cell()
        if gpus:
            self.device = "cuda"  # a cell sees only the GPU that Ray gives it
        as_task = self.ray.remote(
            num_cpus=1, num_gpus=gpus, max_retries=TRIES, max_calls=1 if gpus else 0
        )
        self.task: Any = as_task(run_cell_on_node if self.address else run_cell)
        return self

    def _gpus_of_a_cell(self) -> int:
        """Return how many GPUs a cell needs: one if a node has any, unless the CPU is asked for.

        Raises:
            UserError: a GPU is asked for by its number, or there is none.
        """
        if self.device == "cpu":
            return 0
        n_gpus = self.ray.cluster_resources().get("GPU", 0)
        if self.device in (None, "auto"):
            return int(n_gpus > 0)
        if self.device != "cuda":
            raise UserError(
                f"--device {self.device}: Ray chooses the GPU of each cell: use --device cuda, and "
                "CUDA_VISIBLE_DEVICES to leave GPUs out."
            )
        if not n_gpus:
            raise UserError("--device cuda: Ray knows no GPU: use --device cpu.")
        return 1

    def _start(self) -> None:
        """Start Ray on this machine, with a token that no other process knows."""
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:  # Ray would write one into the home folder
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        options: dict[str, Any] = {"num_cpus": self.workers, "include_dashboard": False}
        # Ray would write into one folder of all sessions, and never remove anything.
        base = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")
        folder = self.cleanup.enter_context(drafts.draft_folder(base, RAY_FOLDER))
        options["_temp_dir"] = str(folder)
        try:
            self._connect("local", **options)
        except Exception as error:  # Ray has no class of its own for it
            raise ProcessLost(
                f"Ray did not start ({one_line(error)}): repeat the command, or use --workers 1, "
                "which does without Ray."
            ) from None

    def _join(self, address: str) -> None:
        """Join a running cluster; as many cells as it has processors run at the same time."""
        try:
            _check_answers(address)
            with _stderr_closed():
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

        Raises:
            ProcessLost: Ray has ended on all its nodes.
        """
        for handle in handles[: self.workers]:
            if handle not in self.started:
                self.started.add(handle)
                on_start(handle)
        ended: list[Any] = []
        while not ended:
            ended, _ = self.ray.wait(list(handles), num_returns=1, timeout=CHECK_SECONDS)
            if not ended and not any(node["Alive"] for node in self.ray.nodes()):
                raise ProcessLost("Ray has ended on all its nodes: the same command resumes.")
        (ready,) = ended
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


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Drop what is written to stderr in the block: a line for each time that Ray tries again."""
    sys.stderr.flush()
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)
