"""Trials at the same time, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fewshot import progress
from fewshot.errors import ProcessLost
from fewshot.runs.resolve import ResolvedRun, resolve_run
from fewshot.runs.trial import run_trial
from fewshot.training import devices
from fewshot.training.signals import ctrl_c_held_back, passed_on_to_children

SAVING_SECONDS = 10.0  # for a step and a checkpoint, after another process was killed


def run_trials(run: ResolvedRun, seeds: Sequence[int], workers: int, force: bool) -> None:
    """Run the trials of a run, a number of them at a time.

    Args:
        run: the resolved run, whose folder has its config.yaml.
        seeds: the trials.
        workers: the number of processes.
        force: run finished trials again.

    Raises:
        Interrupted: after SIGINT or SIGTERM, once every process has saved its checkpoint.
        ProcessLost: a process was killed; the others have saved their checkpoints.
    """
    settings = run.config.model_dump(mode="json")
    context = multiprocessing.get_context("spawn")
    waiting, n_done = list(reversed(seeds)), 0
    running: set[Future[None]] = set()
    with (
        ProcessPoolExecutor(
            min(workers, len(seeds)), mp_context=context, initializer=follow_parent
        ) as pool,
        passed_on_to_children(),
        _all_ended_after_one(),
    ):
        while waiting or running:
            while waiting and len(running) < workers:  # none waits in the pool, to end at once
                seed = waiting.pop()
                out, compute = run.folder.parent, run.compute
                request = settings, seed, out, compute, force
                with ctrl_c_held_back():  # this may start a process
                    running.add(pool.submit(_run_in_this_process, *request))
            # Each call wakes the pool's thread, which then watches the processes that have started.
            # Without this one it may never watch the last, and miss its end.
            pool.submit(int)
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for trial in ended:
                trial.result()
                n_done += 1
                progress.update(f"trial {n_done}/{len(seeds)}: done")


@contextmanager
def _all_ended_after_one() -> Iterator[None]:
    """End all processes of a pool if one of them is killed.

    Raises:
        ProcessLost: one was killed.
    """
    try:
        yield
    except BrokenExecutor:
        # The pool has sent SIGTERM, so they save a checkpoint, but then they wait for the pool.
        for child in multiprocessing.active_children():
            child.join(SAVING_SECONDS)
            child.kill()
        raise ProcessLost(
            "a process with a trial was killed, perhaps because memory ran out: the same command "
            "resumes; with a lower --workers it needs less memory."
        ) from None


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
