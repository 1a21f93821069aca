"""Measure memory and time of the commands on data sets of rising size, up to a million images.

The images are synthetic: thumbnails of 32 pixels in Parquet files, and photos of 160 pixels in
folders of classes, both JPEG. Each command runs in a process of its own with an empty cache for
each size, in the order load, probe, predict, check, suggest; later ones use what is cached. The
thumbnails of `predict` are files, which are many names of a few thousand.

    python -m benchmarks.beyond_memory --work FOLDER [--kind thumbnails] [--images 1000000]
    python -m benchmarks.beyond_memory --figure docs/assets/beyond-memory.svg

Results are added to those in the result file, so that sizes can be measured one by one. With
--resume, the steps use the runs and caches that an earlier call left, and their results replace
those of the same steps. The data stays in the folder until --remove.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from benchmarks import common

N_CLASSES = 8
SHARD = 15_625  # images of a Parquet file, and of a batch of photos
DIFFERENT = 4_096  # files of thumbnails; all others are further names of these
STEPS = ("load", "probe", "predict", "check", "suggest")
SIDES = {"thumbnails": 32, "photos": 160}
POLL_SECONDS = 0.05


class Spent(NamedTuple):
    """What a process took.

    Attributes:
        seconds: by the clock.
        processor_seconds: of all its threads.
        peak_mb: largest resident memory, files that are mapped into memory included.
        own_mb: largest resident memory without these files, which the system can drop.
    """

    seconds: float
    processor_seconds: float
    peak_mb: float
    own_mb: float


def pixels(n: int, side: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return images with structure at all scales, uint8 [n, side, side, 3], and their classes.

    A class has a colour and a pattern of its own, which noise hides in part.
    """
    labels = torch.randint(N_CLASSES, (n,), generator=random)
    own = torch.Generator().manual_seed(1)
    patterns = torch.rand(N_CLASSES, 3, 4, 4, generator=own)
    images = F.interpolate(patterns, side, mode="bicubic")[labels] * 1.5 - 0.25
    size = 4
    while size <= side:
        noise = torch.rand(n, 3, size, size, generator=random) - 0.5
        images += F.interpolate(noise, side, mode="bilinear") * (8 / size) ** 0.5
        size *= 2
    images = (images * 255).clamp_(0, 255).to(torch.uint8)
    return images.permute(0, 2, 3, 1).contiguous(), labels


def encoded(n: int, side: int, seed: int) -> Iterator[tuple[bytes, int]]:
    """Yield JPEG files with their classes."""
    random = torch.Generator().manual_seed(seed)
    for start in range(0, n, 256):
        images, labels = pixels(min(256, n - start), side, random)
        for image, label in zip(images.numpy(), labels.tolist(), strict=True):
            stream = BytesIO()
            Image.fromarray(image).save(stream, "JPEG", quality=85)
            yield stream.getvalue(), label


def make_thumbnails(folder: Path, n: int) -> None:
    """Write Parquet files of n images, as far as they are not there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, n, SHARD)):
        path = folder / f"train-{number:05d}.parquet"
        if path.exists():
            continue
        images, labels = zip(*encoded(min(SHARD, n - start), 32, number), strict=True)
        table = pa.table({"image": images, "label": [f"class-{label}" for label in labels]})
        pq.write_table(table, path.with_suffix(".part"), compression="none")
        path.with_suffix(".part").rename(path)


def make_names(folder: Path, n: int) -> None:
    """Write n files of thumbnails, of which 4,096 differ."""
    folder, whole = folder.with_name(f"{folder.name}.part"), folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    first: list[Path] = []
    for number, (content, _) in enumerate(encoded(min(n, DIFFERENT), 32, 0)):
        first.append(folder / f"{number:07d}.jpg")
        first[-1].write_bytes(content)
    for number in range(DIFFERENT, n):
        copy = folder / f"{number % 997:03d}" / f"{number:07d}.jpg"
        copy.parent.mkdir(exist_ok=True)
        copy.hardlink_to(first[number % DIFFERENT])
    folder.rename(whole)


def make_photos(folder: Path, n: int) -> None:
    """Write n photos into folders of classes."""
    folder, whole = folder.with_name(f"{folder.name}.part"), folder
    shutil.rmtree(folder, ignore_errors=True)
    for label in range(N_CLASSES):
        (folder / f"class-{label}").mkdir(parents=True, exist_ok=True)
    for number, (content, label) in enumerate(encoded(n, 160, 0)):
        (folder / f"class-{label}" / f"{number:06d}.jpg").write_bytes(content)
    folder.rename(whole)


def spent(command: list[str], environment: dict[str, str], log: Path) -> Spent:
    """Run a command and return what it took.

    Raises:
        RuntimeError: it failed; the log has its output.
    """
    own_kb = 0
    with log.open("w", encoding="utf-8") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            own_kb = max(own_kb, _own_kb(process.pid))
            time.sleep(POLL_SECONDS)
    if status:
        raise RuntimeError(f"{' '.join(command)}: see {log}")
    return Spent(
        round(time.perf_counter() - began, 2),
        round(usage.ru_utime + usage.ru_stime, 2),
        round(usage.ru_maxrss / 1024, 1),
        round(own_kb / 1024, 1),
    )


def _own_kb(pid: int) -> int:
    """Return the resident memory of a process that no file backs, in kilobytes."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    sizes = [line.split()[1] for line in text.splitlines() if line.startswith("RssAnon:")]
    return int(sizes[0]) if sizes else 0


def commands(data: Path, files: Path, out: Path) -> dict[str, list[str]]:
    """Return the command of each step."""
    fewshot = [sys.executable, "-m", "fewshot"]
    run = ["--shots", "16", "--seeds", "1", "--quiet", "--out"]
    of_run = [*fewshot, "run", "--method", "probe", "--data", str(data), *run, str(out / "runs")]
    result = {
        "load": [*fewshot, "data", str(data), "--sheet", str(out / "sheet.png")],
        "probe": of_run,
        "check": [*fewshot, "check", str(data), "--json"],
        "suggest": [*fewshot, "suggest", str(data), "--quiet", "--out", str(out / "suggestions")],
    }
    record = next((out / "runs").glob("*/record.json"), None)
    if record is not None:
        table = str(out / "predictions.csv")
        predict = [*fewshot, "predict", str(record.parent), str(files), "--quiet", "--out", table]
        result["predict"] = predict
    return result


def measured(
    kind: str, n: int, work: Path, steps: list[str], threads: int, *, resume: bool
) -> Iterator[tuple[str, Spent]]:
    """Run some steps on n images, and yield what each took.

    They start with an empty cache, unless they resume an interrupted measurement.
    """
    data = work / f"{kind}-{n}"
    files = data
    if kind == "photos" and not data.exists():
        make_photos(data, n)
    if kind == "thumbnails":
        make_thumbnails(data, n)
        files = work / f"names-{n}"
        if not files.exists() and "predict" in steps:
            make_names(files, n)
    out = work / f"out-{kind}-{n}"
    if not resume:
        shutil.rmtree(out, ignore_errors=True)
    out.mkdir(exist_ok=True)
    own = {"FEWSHOT_CACHE": str(out / "cache"), "OMP_NUM_THREADS": str(threads)}
    environment = os.environ | own
    for step in steps:
        command = commands(data, files, out)[step]
        yield step, spent(command, environment, out / f"{step}.log")
    shutil.rmtree(out / "cache", ignore_errors=True)


def draw(results: dict[str, dict[str, dict[str, dict[str, float]]]], path: Path) -> None:
    """Draw the memory of each command against the number of images."""
    from matplotlib.figure import Figure

    from fewshot.report.plots import style

    width = style.DOUBLE if len(results) > 1 else style.SINGLE
    figure = Figure(figsize=(width, 2.6), layout="constrained")
    every = figure.subplots(1, len(results), squeeze=False, sharey=True)[0]
    for axes, (kind, sizes) in zip(every, results.items(), strict=True):
        for step, marker in zip(STEPS, style.MARKERS, strict=False):
            points = sorted((int(n), of[step]["own_mb"]) for n, of in sizes.items() if step in of)
            if points:
                axes.plot(*zip(*points, strict=True), marker=marker, label=step)
        axes.set(title=f"{kind} of {SIDES[kind]} pixels", xlabel="images")
        axes.set_xscale("log")
        numbers = sorted(map(int, sizes))
        axes.set_xticks(numbers, [f"{n:,}" for n in numbers], rotation=30, ha="right")
        axes.minorticks_off()
    every[0].set(ylabel="memory of its own (MB)", ylim=(0, None))
    every[-1].legend()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure one kind of images at three sizes, or draw what was measured."""
    parser = common.parser(__doc__, "beyond_memory")
    parser.add_argument("--work", type=Path, help="folder for the data and the caches")
    parser.add_argument("--kind", choices=tuple(SIDES), default="thumbnails")
    parser.add_argument("--images", type=int, default=1_000_000, help="the largest number")
    parser.add_argument("--shares", default="16,4,1", help="sizes as parts of the largest: 1/16 ..")
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--threads", type=int, default=1, help="threads of each command")
    parser.add_argument("--resume", action="store_true", help="use an earlier run and cache")
    parser.add_argument("--remove", action="store_true", help="remove the data afterwards")
    parser.add_argument("--figure", type=Path, help="draw the results into this file instead")
    options = parser.parse_args()
    result = {"what": "seconds and megabytes of commands by the number of images", "images": {}}
    if options.out.exists():
        result = json.loads(options.out.read_text(encoding="utf-8"))
    if options.figure is not None:
        from fewshot.report.plots import style

        style.styled(draw)(result["images"], options.figure)
        return
    if options.work is None:
        parser.error("--work is needed")
    _measure_all(options, result)


def _measure_all(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Measure each size, and write the result after each step."""
    for share in map(int, options.shares.split(",")):
        n = options.images // share
        of_size = result["images"].setdefault(options.kind, {}).setdefault(str(n), {})
        steps = options.steps.split(",")
        own = (options.kind, n, options.work, steps, options.threads)
        for step, spent in measured(*own, resume=options.resume):
            of_size[step] = {"threads": options.threads} | spent._asdict()
            print(options.kind, n, step, spent, flush=True)
            common.write(options.out, result | common.machine(), ("what",))
    if options.remove:
        shutil.rmtree(options.work)


if __name__ == "__main__":
    main()
