"""Time `fewshot fit` and `fewshot predict` on photos, each in a process of its own, without caches.

A classifier learns from five photos of each of the ten classes of imagenette160, is written to a
file, and classifies 300 others. Nothing is cached but what the operating system holds of the files.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from fewshot import io
from fewshot.report import formatting

SHOTS, N_OTHERS = 5, 300
THREADS = 2
SUFFIX = "imagenette160"
WAYS = {  # name -> options of `fewshot fit`
    "fit, default": [],
    "fit, lite2": ["--method", "probe"],
    "fit, lite0": ["--method", "probe", "--backbone", "tf_efficientnet_lite0"],
    "fit, mini-resnet": ["--method", "probe", "--backbone", "mini-resnet"],
}


class Process(NamedTuple):
    """What a process took: seconds by the clock and of the processor, and its most memory."""

    seconds: float
    processor_seconds: float
    megabytes: float


@dataclass(frozen=True)
class ColdStart:
    """One way to fit a classifier, from files to predictions.

    Attributes:
        way: its name in WAYS.
        command: the words after `fewshot` that fitted it, without paths.
        accuracy: share of the other photos that were classified right.
        n_labelled, n_others: photos of each kind.
        fit_seconds, predict_seconds: by the clock, each from the start of its process to its end.
        processor_seconds: of both processes and all their threads.
        megabytes: most memory that one of the two processes occupied.
        file_megabytes: size of the model file.
        threads: CPU threads.
        processor: the name of the processor.
        load: load average of the machine over the minute before.
    """

    way: str
    command: list[str]
    accuracy: float
    n_labelled: int
    n_others: int
    fit_seconds: float
    predict_seconds: float
    processor_seconds: float
    megabytes: float
    file_megabytes: float
    threads: int
    processor: str
    load: float


def measure(folder: Path) -> None:
    """Measure every way and write its record; the machine should be quiet."""
    from fewshot.training import precision

    data = Path(os.environ["FEWSHOT_DATA"]) / SUFFIX
    io.make_folder(folder)
    for way, options in WAYS.items():
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            truth = _copy(data, place)
            command = ["fit", *options]
            model, others = place / "m.fewshot", place / "others.csv"
            words = [*command, str(place / "labelled"), "--out", str(model), "--quiet"]
            fit = _timed(words, place)
            words = ["predict", str(model), str(place / "others"), "--out", str(others), "--quiet"]
            predict = _timed(words, place)
            result = ColdStart(
                way=way,
                command=command,
                accuracy=_accuracy(others, truth),
                n_labelled=SHOTS * len(set(truth.values())),
                n_others=len(truth),
                fit_seconds=fit.seconds,
                predict_seconds=predict.seconds,
                processor_seconds=fit.processor_seconds + predict.processor_seconds,
                megabytes=max(fit.megabytes, predict.megabytes),
                file_megabytes=model.stat().st_size / 1e6,
                threads=THREADS,
                processor=precision.processor(),
                load=load,
            )
        io.write_json(_path(folder, way), asdict(result))
        print(f"{way}: {result.fit_seconds:.1f} + {result.predict_seconds:.1f} s", flush=True)


def _copy(data: Path, place: Path) -> dict[str, str]:
    """Copy labelled photos into class folders and others into one folder; return their classes."""
    truth = {}
    classes = sorted(path.name for path in (data / "train").iterdir() if path.is_dir())
    (place / "others").mkdir()
    for name in classes:
        (place / "labelled" / name).mkdir(parents=True)
        for path in sorted((data / "train" / name).iterdir())[:SHOTS]:
            shutil.copy(path, place / "labelled" / name)
        for number, path in enumerate(sorted((data / "val" / name).iterdir())):
            if number < N_OTHERS // len(classes):
                copy = f"{name}-{number}{path.suffix}"
                shutil.copy(path, place / "others" / copy)
                truth[copy] = name
    return truth


def _timed(words: list[str], place: Path) -> Process:
    """Run `fewshot` in a new process."""
    threads = {"OMP_NUM_THREADS": str(THREADS)}
    environment = os.environ | threads | {"FEWSHOT_CACHE": str(place / "cache")}
    # The process reports its own peak: the kernel's count for a child begins with its parent's.
    code = (
        "import sys; from fewshot.cli.main import main\n"
        "try: main()\n"
        "finally: print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], "
        "file=sys.stderr)"
    )
    started, computed = time.perf_counter(), _of_children()
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"fewshot {' '.join(words)} failed: {done.stderr}")
    return Process(seconds, _of_children() - computed, int(done.stderr.split()[-1]) / 1000)


def _of_children() -> float:
    """Return the processor seconds of all processes that this one started and that ended."""
    times = os.times()
    return times.children_user + times.children_system


def _accuracy(predictions: Path, truth: dict[str, str]) -> float:
    with predictions.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    predicted = {Path(row["file"]).name: row["label"] for row in rows}
    return sum(predicted[name] == true for name, true in truth.items()) / len(truth)


def _path(folder: Path, way: str) -> Path:
    return folder / f"cold-{way.replace(', ', '-')}.json"


def table(folder: Path) -> str:
    """Return seconds, memory and accuracy of each way."""
    rows = []
    for way in WAYS:
        path = _path(folder, way)
        if not path.exists():
            rows.append([way, "not run", *[""] * 7])
            continue
        one = ColdStart(**io.read_json(path))
        total = one.fit_seconds + one.predict_seconds
        rows.append(
            [
                way,
                f"{one.accuracy:.3f}",
                f"{one.fit_seconds:.1f}",
                f"{one.predict_seconds:.1f}",
                f"{total:.1f}",
                f"{one.processor_seconds:.1f}",
                f"{one.megabytes:.0f}",
                f"{one.file_megabytes:.1f}",
                f"{one.load:.1f}",
            ]
        )
    columns = ["way", "accuracy", "fit (s)", "predict (s)", "both (s)"]
    columns += ["processor (s)", "memory (MB)", "file (MB)", "load before"]
    return formatting.markdown_table(columns, rows)
