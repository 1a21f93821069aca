"""Measure everything that needs a GPU, in one command of at most nine minutes.

python -m scripts.gpu_campaign --out DIR --data DATA [--device cuda] [--only PART ...]

Parts, in this order: `prepare` decodes the images and chooses the precision and layout;
`tests` runs the tests marked `gpu`; `probe`, `protonet` and `finetune` run at 16 labels per class
and are compared with the published CPU records, trial by trial; `fast` and `accurate` train the
presets of `scratch` on all images; `target` measures the seconds of training to 94% accuracy;
`episodes` meta-trains conv4 for a short time and measures tasks per second on cached features.

Every part runs in a process of its own with a time box; the boxes together fit into nine minutes. A
part that fails or exceeds its box is recorded with the reason, and the next one begins. After an
interruption (Ctrl-C or SIGTERM) the same command continues: finished parts are skipped, and
unfinished trainings resume from their checkpoints. DIR receives `summary.json` after every part,
`records/` (one RunRecord or one measurement per part), `logs/` and the run folders.

DATA is a folder that contains `cifar10/` with the Parquet files; by default $FEWSHOT_DATA. To run
on another machine, copy that folder (18 MB to 53 MB, depending on the encoding) into `data/` here,
which git ignores, and pass `--data data`. The package need not be installed, but the packages in
`MODULES` have to be, on Python 3.11 to 3.13. For a machine without a network, install the missing
ones with `pip install --target packages ...` under the same version of Python, copy that folder as
well, and set `PYTHONPATH=packages`.

`--device cpu --toy` runs every part on 100 small coloured images, to test this script.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from fewshot import io

ROOT = Path(__file__).parent.parent
PUBLISHED = ROOT / "reports" / "records"
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
    "pytest": "pytest",
}
TOTAL_SECONDS = 540.0
LEAST_SECONDS = 10.0  # a part is not begun with less time than this
GRACE_SECONDS = 8.0  # for a process to save its state after SIGTERM
TOLERANCE = 0.005  # of mean accuracy, between the GPU's and the CPU's trials

Result = dict[str, Any]  # what `summary.json` shows of a part, as JSON


class Options(NamedTuple):
    """The settings of a campaign."""

    out: Path
    device: str
    toy: bool
    seconds: float


class Part(NamedTuple):
    """One measurement.

    Attributes:
        name: also the name of its record and its log.
        seconds: the time box.
        command: the words after `python`.
        read: reads what the command wrote, finished or not, into the result for the summary.
    """

    name: str
    seconds: float
    command: Sequence[str]
    read: Callable[[], Result]


def parts(options: Options) -> list[Part]:
    """Return the parts of the campaign in their order."""
    module = ["-m", "scripts.gpu_worker"]
    common = ["--device", options.device, "--out", str(options.out / "records")]
    toy = ["--toy"] if options.toy else []
    tests = options.out / "records" / "tests.xml"
    return [
        Part(
            "prepare",
            40,
            [*module, "prepare", *common, *toy],
            lambda: _measurement(options.out, "prepare"),
        ),
        Part("tests", 78, _test_command(tests), lambda: read_tests(tests)),
        _few_labels(options, "probe", 18),
        _few_labels(options, "protonet", 18),
        _few_labels(options, "finetune", 112),
        _all_labels(options, "fast", 45, n_seeds=3),
        _all_labels(options, "accurate", 90, n_seeds=1),
        Part(
            "target",
            60,
            [*module, "target", *common, *toy],
            lambda: _measurement(options.out, "target"),
        ),
        Part(
            "episodes",
            70,
            [*module, "episodes", *common, *toy],
            lambda: _measurement(options.out, "episodes"),
        ),
    ]


def _test_command(report: Path) -> list[str]:
    """Return the command that runs the tests marked `gpu`, and only the files that have some."""
    files = sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if "pytest.mark.gpu" in path.read_text(encoding="utf-8")
    )
    return ["-m", "pytest", "-m", "gpu", "-W", "default", f"--junitxml={report}", *files]


def _few_labels(options: Options, method: str, seconds: float) -> Part:
    """Return the run of a method at 16 labels per class, paired with its published record."""
    request = ["--method", method, "--shots", "16", "--seeds", "10"]
    if options.toy:
        request = ["--method", method, "--shots", "2", "--seeds", "2", "--preset", "few"]
        request += ["--set", "select=last"]
        request += ["--set", "train.steps=2"] if method == "finetune" else []
    published = PUBLISHED / "learners" / f"{method}-16.json"
    return Part(
        method,
        seconds,
        _run_command(options, method, request),
        lambda: _run_result(options, method, published),
    )


def _all_labels(options: Options, preset: str, seconds: float, n_seeds: int) -> Part:
    """Return a training of `scratch` on all images, whose record has both accuracies."""
    request = ["--method", "scratch", "--preset", preset, "--set", "backbone.views=flip-shift"]
    request += ["--full", "--seeds", "1" if options.toy else str(n_seeds)]
    if options.toy:
        request += ["--set", "backbone.options={widths: [8, 8, 8]}"]
        request += ["--set", "train.steps=3", "--set", "train.lr=0.001"]
    published = PUBLISHED / "fulldata" / f"{preset}-full.json"
    return Part(
        preset,
        seconds,
        _run_command(options, preset, request),
        lambda: _run_result(options, preset, published),
    )


def _run_command(options: Options, name: str, request: Sequence[str]) -> list[str]:
    where = ["--device", options.device, "--out", str(options.out / "runs" / name)]
    return ["-m", "fewshot", "run", *request, "--data", "cifar10", *where]


def _run_result(options: Options, name: str, published: Path) -> Result:
    """Summarise the finished trials of a run, and save its record if the run is finished.

    Args:
        options: where the run is.
        name: the part's name.
        published: the CPU's record with the same settings, which toy runs are not compared with.
    """
    trials = [
        io.read_json(path)
        for path in sorted((options.out / "runs" / name).glob("*/trial-*/trial.json"))
    ]
    for path in (options.out / "runs" / name).glob("*/record.json"):
        io.write_json(options.out / "records" / f"{name}.json", io.read_json(path))
    if not trials:
        return {"trials": 0, "accuracies": {}}
    costs = [trial["cost"] for trial in trials]
    views = [trial["measures"].get("accuracy_without_views") for trial in trials]
    speeds = [cost["images_per_second"] for cost in costs if cost["images_per_second"]]
    accuracies = {str(trial["seed"]): trial["scores"]["accuracy"] for trial in trials}
    result = {
        "trials": len(trials),
        "accuracy": fmean(trial["scores"]["accuracy"] for trial in trials),
        "accuracy_without_views": None if None in views else fmean(views),
        "images_per_second": fmean(speeds) if speeds else None,
        "train_seconds": fmean(cost["train_seconds"] for cost in costs),
        "peak_memory_mb": max(cost["peak_memory_mb"] for cost in costs),
        "device": trials[0]["provenance"]["device"],
        "compute": trials[0]["provenance"]["compute"],
        "accuracies": accuracies,
    }
    return result if options.toy else result | paired(accuracies, published)


def paired(accuracies: dict[str, float], path: Path) -> Result:
    """Compare trials with those of a published record that have the same seeds."""
    record = io.read_json(path)
    published = dict(
        zip(map(str, record["seeds"]), record["scores"]["accuracy"]["values"], strict=True)
    )
    differences = [accuracies[seed] - published[seed] for seed in accuracies if seed in published]
    if not differences:
        return {}
    mean = fmean(differences)
    return {
        "difference_to_cpu": mean,
        "largest_difference": max(map(abs, differences)),
        "within_tolerance": abs(mean) <= TOLERANCE,
    }


def _measurement(out: Path, name: str) -> Result:
    """Return what the worker wrote; empty if it wrote nothing."""
    path = out / "records" / f"{name}.json"
    return dict(io.read_json(path)) if path.exists() else {}


def read_tests(report: Path) -> Result:
    """Return the counts of a pytest report and the first line of every failure."""
    if not report.exists():
        return {}
    failures = {}
    root = ElementTree.parse(report).getroot()
    for case in root.iter("testcase"):
        for problem in [*case.findall("failure"), *case.findall("error")]:
            lines = (problem.get("message") or problem.text or "").splitlines()
            failures[str(case.get("name"))] = lines[0] if lines else ""
    counts = next(root.iter("testsuite")).attrib
    skipped = int(counts["skipped"])
    return {
        "passed": int(counts["tests"]) - len(failures) - skipped,
        "skipped": skipped,
        "failed": len(failures),
        "failures": failures,
    }


def run(part: Part, options: Options, seconds: float) -> Result:
    """Run one part within its time box and return its entry of the summary."""
    log = options.out / "logs" / f"{part.name}.txt"
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, *part.command],
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
    entry: Result = {"seconds": round(time.monotonic() - began, 1), "state": "done"}
    if exit_code is None:
        entry |= {"state": "timed out", "reason": f"not finished after {seconds:.0f} s"}
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


def campaign(options: Options, only: Sequence[str] = ()) -> dict[str, Result]:
    """Run all parts, or those named, and write the summary after each; return it."""
    for folder in ("records", "logs", "runs"):
        io.make_folder(options.out / folder)
    path = options.out / "summary.json"
    summary: dict[str, Result] = io.read_json(path) if path.exists() else {}
    began = time.monotonic()
    for part in parts(options):
        if (only and part.name not in only) or summary.get(part.name, {}).get("state") == "done":
            continue
        left = options.seconds - (time.monotonic() - began) - GRACE_SECONDS
        if left < LEAST_SECONDS:
            reason = "no time left: repeat the command to run it"
            summary[part.name] = {"seconds": 0.0, "state": "not run", "reason": reason}
        else:
            print(f"{part.name}: at most {min(part.seconds, left):.0f} s", file=sys.stderr)
            summary[part.name] = run(part, options, min(part.seconds, left))
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


def write_toy_data(folder: Path) -> None:
    """Write ten classes of noise around a colour, in the format of CIFAR-10's original batches."""
    import numpy as np

    random = np.random.default_rng(0)
    colours = random.uniform(60, 200, (10, 3, 1))
    labels = np.arange(10).repeat(2)
    io.make_folder(folder)
    names = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse",
             b"ship", b"truck"]  # fmt: skip
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}))
    for name in (*(f"data_batch_{number}" for number in range(1, 5)), "test_batch"):
        pixels = colours[labels] + random.uniform(-50, 50, (len(labels), 3, 32 * 32))
        rows = pixels.astype(np.uint8).reshape(len(labels), -1)
        (folder / name).write_bytes(pickle.dumps({b"data": rows, b"labels": labels.tolist()}))


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
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="repeatable")
    parser.add_argument("--toy", action="store_true", help="100 small images, to test this script")
    parser.add_argument("--seconds", type=float, default=TOTAL_SECONDS, help="for all parts")
    asked = parser.parse_args(arguments)
    options = Options(asked.out.resolve(), asked.device, asked.toy, asked.seconds)
    names = [part.name for part in parts(options)]
    if unknown := [name for name in asked.only if name not in names]:
        return _refuse(f"unknown part {unknown[0]}; parts: {', '.join(names)}")
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
    if asked.device == "cpu":
        os.environ["FEWSHOT_TEST_DEVICE"] = "cpu"
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        summary = campaign(options, asked.only)
    except KeyboardInterrupt:
        print("gpu_campaign: interrupted; the same command continues.", file=sys.stderr)
        return 130
    print(table(summary))
    return int(any(summary[name]["state"] != "done" for name in asked.only or summary))


if __name__ == "__main__":
    sys.exit(main())
