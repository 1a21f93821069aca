"""The cores of this machine, and the threads of a trial; this module imports no torch."""

from __future__ import annotations

import os

DEFAULT_THREADS = 2  # of a trial; sums over other numbers of threads differ in their last bits


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """Return the threads of a trial for which no number was asked.

    They depend neither on other trials nor on the load of the machine, because the number decides
    the last bits of sums, and so the result of a training: OMP_NUM_THREADS where it is set, and
    otherwise two, or one on a single core.
    """
    first, *_ = os.environ.get("OMP_NUM_THREADS", "").split(",")
    if first.strip().isdigit() and int(first) > 0:
        return int(first)
    return min(DEFAULT_THREADS, n_cores())
