"""Run a configuration: from its record if it is finished, else by its missing trials.

Importing this module imports no torch, so a finished run is answered at once.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fewshot.errors import UserError
from fewshot.runs import requests
from fewshot.runs.run_record import RunRecord


def run(
    values: Mapping[str, Any],
    seeds: Sequence[int],
    *,
    out: Path = Path("runs"),
    device: str | None = None,
    force: bool = False,
    workers: int | None = 1,
    threads: int | None = None,
) -> RunRecord:
    """Run the missing trials of a configuration; return its record, also written as record.json.

    A finished trial is not repeated and an unfinished one resumes. The record is of all finished
    trials of the run. It is not written if a trial fails or is interrupted.

    Args:
        values: settings on top of the method's preset, as nested mappings.
        seeds: one trial for each.
        out: folder of run folders.
        device: cpu, cuda and so on; None for a GPU if there is one.
        force: run the trials of `seeds` again, even if they are finished.
        workers: trials at once, each in its own process; None for as many as fit on the cores, if
            the first trial shows that they are long.
        threads: CPU threads of each trial; None for those that the run has, or two for a new one.

    Raises:
        UserError: the request is wrong; nothing is written.
        Diverged: the loss of a training is no longer finite.
        KeyboardInterrupt: the run was interrupted; the same call resumes it.
    """
    seeds = _checked_seeds(seeds)
    for name, number in (("workers", workers), ("threads", threads)):
        if number is not None and number < 1:
            raise UserError(f"{name}: expected a whole number of at least 1, not {number}.")
    if not force and "WORLD_SIZE" not in os.environ:
        record = requests.answer(values, seeds, out, device, threads)
        if record is not None:
            return record
    from fewshot.runs import execution

    return execution.execute(
        values, seeds, out=out, device=device, force=force, workers=workers, threads=threads
    )


def _checked_seeds(seeds: Sequence[int]) -> list[int]:
    """Return the seeds as integers without repeats; at least one, and none negative."""
    try:
        numbers = [operator.index(seed) for seed in seeds]
    except TypeError:
        numbers = []
    if not numbers or min(numbers) < 0:
        raise UserError(
            f"seeds: expected one or more whole numbers of at least 0, not {list(seeds)}."
        )
    return list(dict.fromkeys(numbers))
