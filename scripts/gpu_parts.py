"""The parts of the GPU campaign: what each runs, for how long, and how its result is read."""

from __future__ import annotations

import os
import pickle
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from fewshot import io

ROOT = Path(__file__).parent.parent
PUBLISHED = ROOT / "reports" / "records"
TOLERANCE = 0.005  # of mean accuracy, between the GPU's and the CPU's trials
TOY_SECONDS = 900.0  # the time box of every part of a toy, whose processor may be busy
SECONDS = "{seconds}"  # in a command: those that the part may take
END_SECONDS = 10.0  # of a part, for its process to start and to end

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
        command: the words after `python`; `SECONDS` stands for the seconds that the part has.
        read: reads what the command wrote, finished or not, into the result for the summary.
        data: folders of data sets that it needs beside cifar10.
        fills: whether it also takes the time that no part after it needs.
    """

    name: str
    seconds: float
    command: Sequence[str]
    read: Callable[[], Result]
    data: Sequence[str] = ()
    fills: bool = False


def parts(options: Options) -> list[Part]:
    """Return the parts of the campaign in their order, the most valuable first."""
    by_value = _by_value(options)
    if options.toy:
        return [part._replace(seconds=TOY_SECONDS) for part in by_value]
    return by_value


def _by_value(options: Options) -> list[Part]:
    tests = options.out / "records" / "tests.xml"
    tiny = () if options.toy else ("tinyimagenet32",)
    return [
        _measured(options, "prepare", 40),
        Part("tests", 130, _test_command(tests, options.toy), lambda: read_tests(tests)),
        _measured(options, "meta", 90, tiny),
        _measured(options, "wider", 130, tiny),
        _grid(options, 130),
        _few_labels(options, "probe", 18),
        _few_labels(options, "protonet", 18),
        _all_labels(options, "fast", 45, n_seeds=3),
        _measured(options, "target", 60),
        _measured(options, "episodes", 70),
        _all_labels(options, "accurate", 90, n_seeds=1),
        _few_labels(options, "finetune", 112),
    ]


def _measured(options: Options, name: str, seconds: float, data: Sequence[str] = ()) -> Part:
    """Return a measurement of `scripts.gpu_worker`."""
    words = ["-m", "scripts.gpu_worker", name, "--device", options.device]
    words += ["--out", str(options.out / "records"), "--seconds", SECONDS]
    words += ["--toy"] if options.toy else []
    return Part(name, seconds, words, lambda: _measurement(options.out, name), data)


def _grid(options: Options, seconds: float) -> Part:
    """Return the grid of many trainings at once, at scale smoke for a toy."""
    words = ["-m", "scripts.gpu_grid", "--device", options.device, "--out", str(options.out)]
    words += ["--seconds", SECONDS]
    if options.toy:
        words += ["--scale", "smoke", "--processes", "2"]
    return Part("grid", seconds, words, lambda: _measurement(options.out, "grid"), fills=True)


def _test_command(report: Path, toy: bool) -> list[str]:
    """Return the command that runs the tests marked `gpu`, or a few for a toy.

    It names only the files that have such tests. SIGTERM ends it as Ctrl-C does, so that the report
    has the tests that ended in time.
    """
    program = (
        "import signal, sys, pytest; signal.signal(signal.SIGTERM, signal.default_int_handler); "
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    files = sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if "pytest.mark.gpu" in path.read_text(encoding="utf-8")
    )
    few = ["-k", "features"] if toy else []
    return ["-c", program, "-m", "gpu", "-W", "default", f"--junitxml={report}", *few, *files]


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


def missing_data(part: Part) -> str | None:
    """Return which data set of a part is not in $FEWSHOT_DATA, as a reason; None if none is."""
    root = Path(os.environ["FEWSHOT_DATA"])
    absent = [name for name in part.data if not (root / name).is_dir()]
    return f"{root} contains no folder {absent[0]}" if absent else None


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
