"""Trials at the same time, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from fewshot import progress
from fewshot.runs.resolve import ResolvedRun, resolve_run
from fewshot.runs.trial import run_trial
from fewshot.training import devices
from fewshot.training.signals import passed_on_to_children


def run_trials(run: ResolvedRun, seeds: Sequence[int], workers: int, force: bool) -> None:
    """Run the trials of a run, a number of them at a time.

    Args:
        run: the resolved run, whose folder has its config.yaml.
        seeds: the trials.
        workers: the number of processes.
        force: run finished trials again.

    Raises:
        Interrupted: after SIGINT or SIGTERM, once every process has saved its checkpoint.
    """
    settings = run.config.model_dump(mode="json")
    context = multiprocessing.get_context("spawn")
    waiting, n_done = list(reversed(seeds)), 0
    running: set[Future[None]] = set()
    with (
        ProcessPoolExecutor(workers, mp_context=context, initializer=follow_parent) as pool,
        passed_on_to_children(),
    ):
        while waiting or running:
            while waiting and len(running) < workers:  # none waits in the pool, to end at once
                seed = waiting.pop()
                out, compute = run.folder.parent, run.compute
                running.add(pool.submit(_run_in_this_process, settings, seed, out, compute, force))
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for trial in ended:
                trial.result()
                n_done += 1
                progress.update(f"trial {n_done}/{len(seeds)}: done")


def _run_in_this_process(
    settings: Mapping[str, Any], seed: int, out: Path, compute: devices.Compute, force: bool
) -> None:
    """Resolve the run again in a worker, which shares no memory, and run one trial."""
    resolved = resolve_run(settings, out, compute.device)
    run_trial(replace(resolved, compute=compute), seed, force=force)


def follow_parent() -> None:
    """Leave the signals of the terminal to the parent, and end when it ends for any reason."""
    os.setpgrp()
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in a worker"

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
