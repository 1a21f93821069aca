"""How a sweep's cells are run: one by one in this process, or side by side through Ray."""

from __future__ import annotations

import json
import math
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewshot.errors import NotHere, UserError
from fewshot.runs import experiment
from fewshot.studies.results import Result

CURVES = ("train_loss", "validation_loss", "validation_accuracy")
TRIES = 5  # of a cell whose worker died


def run_cell(
    settings: Mapping[str, Any], seeds: Sequence[int], out: Path, device: str | None
) -> Result:
    """One cell's run, whatever comes of it: status, reason, record, curves, run; in a process that may be another."""
    try:
        record = experiment.run(settings, seeds, out=out, device=device)
    except NotHere as error:
        return outcome_of("not run", reason=str(error))
    except UserError as error:
        return outcome_of("failed", reason=str(error))
    except Exception as error:
        trace = traceback.format_exc(limit=-8)
        return outcome_of(
            "failed",
            reason=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            trace=trace,
        )
    return outcome_of(
        "done", record=record, curves=_curves(out / record["run_id"], seeds), run=record["run_id"]
    )


def outcome_of(status: str, **known: Any) -> Result:
    """What came of a cell: done, failed or not run, and what is known of it."""
    return {"status": status, "reason": None, "record": None, "curves": None, "run": None, **known}


def _curves(folder: Path, seeds: Sequence[int]) -> Result | None:
    """What the draws logged, a row a draw: epochs of the longest, and null where a draw had stopped."""
    draws = [
        [
            json.loads(line)
            for line in (folder / f"trial-{seed}" / "metrics.jsonl").read_text().splitlines()
        ]
        for seed in seeds
    ]
    longest = max(draws, key=len)
    if len(longest) < 2:
        return None
    found: Result = {"epoch": [row["epoch"] for row in longest]}
    for key in CURVES:
        if key in longest[-1]:
            found[key] = [
                [_rounded(row.get(key)) for row in rows] + [None] * (len(longest) - len(rows))
                for rows in draws
            ]
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 5)


class OneByOne:
    """Cells in this process, in the order in which they came."""

    def __init__(self, device: str | None) -> None:
        self.device = device
        self.asked: dict[int, tuple[Any, ...]] = {}

    def __enter__(self) -> OneByOne:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, settings: Mapping[str, Any], seeds: Sequence[int], out: Path) -> int:
        number = len(self.asked)
        self.asked[number] = (settings, seeds, out, self.device)
        return number

    def wait(self, handles: Sequence[int], begins: Callable[[int], None]) -> tuple[int, Result]:
        first = min(handles)
        begins(first)
        return first, run_cell(*self.asked[first])


class InRay:
    """Cells as tasks of Ray, here or on a cluster that shares the folders; one whose worker died is begun again."""

    def __init__(self, workers: int, address: str | None, device: str | None) -> None:
        try:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            os.environ.setdefault(
                "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"
            )  # a task without a GPU keeps its variables
            import ray
        except ImportError:
            raise UserError(
                "--workers needs Ray, which is not installed: pip install 'fewshot[ray]'."
            ) from None
        self.ray, self.workers, self.address, self.device = ray, workers, address, device
        self.begun: set[Any] = set()

    def __enter__(self) -> InRay:
        import logging

        n_threads = os.environ.get("OMP_NUM_THREADS") or str(
            max(1, (os.cpu_count() or 1) // self.workers)
        )
        local: dict[str, Any] = (
            {} if self.address else {"num_cpus": self.workers, "include_dashboard": False}
        )
        self.ray.init(
            address=self.address or "local", log_to_driver=False, logging_level=logging.ERROR,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": n_threads}}, **local,
        )  # fmt: skip
        gpus = 1 if (self.device or "").startswith("cuda") else 0
        self.task = self.ray.remote(
            num_cpus=1, num_gpus=gpus, max_retries=TRIES, max_calls=1 if gpus else 0
        )(run_cell)
        return self

    def __exit__(self, *error: object) -> None:
        self.ray.shutdown()

    def submit(self, settings: Mapping[str, Any], seeds: Sequence[int], out: Path) -> Any:
        return self.task.remote(settings, seeds, out.resolve(), self.device)

    def wait(self, handles: Sequence[Any], begins: Callable[[Any], None]) -> tuple[Any, Result]:
        for each in handles[: self.workers]:  # about: Ray does not say what it has begun
            if each not in self.begun:
                self.begun.add(each)
                begins(each)
        (ready, *_), _ = self.ray.wait(list(handles), num_returns=1)
        try:
            return ready, self.ray.get(ready)
        except self.ray.exceptions.RayError as error:
            return ready, outcome_of(
                "failed", reason=f"its worker died ({' '.join(str(error).split())[:200]})."
            )
