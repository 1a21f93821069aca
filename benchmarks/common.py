"""What all benchmarks share: the command line, the facts about the machine, the result file."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"


def parser(
    description: str | None, name: str, rounds: int | None = None
) -> argparse.ArgumentParser:
    """Return a command line with `--out` and, if a default is given, `--rounds`.

    Args:
        description: the module's docstring.
        name: name of the result file.
        rounds: default of `--rounds`.
    """
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--out", type=Path, default=RESULTS / f"{name}.json")
    if rounds is not None:
        made.add_argument("--rounds", type=int, default=rounds)
    return made


def seconds(work: Callable[[], Any]) -> float:
    """Return the seconds that one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def clock_and_processor_seconds(work: Callable[[], Any]) -> dict[str, float]:
    """Return the seconds of one call by the clock and of this process's processor time."""
    began, computed = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - computed,
    }


def in_turns(work: dict[str, tuple[Callable[[], Any], int]], rounds: int) -> dict[str, Any]:
    """Time several ways in turns and compare them.

    Args:
        work: name -> (what is timed, the number of tasks that it solves). The first is ours.
        rounds: how often each is timed.

    Returns:
        Tasks per second of each way, by the clock and by processor time, and the ratios of ours to
        the others: medians over rounds.
    """
    ours, *others = work
    turns = []
    for _ in range(rounds):
        turn = {}
        for name, (call, n) in work.items():
            spent = clock_and_processor_seconds(call)
            turn[name] = {
                "clock": n / spent["seconds"],
                "processor": n / spent["processor_seconds"],
            }
        turns.append(turn)
    kinds = ("clock", "processor")
    return {
        "tasks_per_second": {
            name: {kind: statistics.median(turn[name][kind] for turn in turns) for kind in kinds}
            for name in work
        },
        "ratio": {
            name: {
                kind: statistics.median(turn[ours][kind] / turn[name][kind] for turn in turns)
                for kind in kinds
            }
            for name in others
        },
    }


def in_new_process(module: str, *words: str, environment: dict[str, str] | None = None) -> str:
    """Run `python -m MODULE WORDS` in the repository's root and return its last line."""
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        cwd=ROOT,
        env=environment,
    )
    return done.stdout.splitlines()[-1]


def machine() -> dict[str, Any]:
    """Return the processor or GPU, the load of the machine and the versions of the packages."""
    from fewshot.runs import provenance
    from fewshot.training import devices

    return {
        "machine": devices.name(devices.pick(None)),
        "load_average": os.getloadavg(),
        "versions": provenance.versions(),
    }


def write(path: Path, result: dict[str, Any], shown: tuple[str, ...]) -> None:
    """Write the result as JSON, print some of its keys, and print the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: result[key] for key in shown}, indent=1))
    print(path)
