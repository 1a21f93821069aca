"""`fewshot predict` on CIFAR-10's test images written out as PNG, beside a plain loop over single images.

The run is a probe of 16 shots on the preset's backbone (mini-resnet, shipped weights, four views an image). Three
things are told:
- speed, beside a loop of PIL and the same classifier on one image at a time, both in each round; what counts is the
  ratio, of seconds and of processor seconds (which other programs on the machine disturb less);
- the most memory held, with 1,000, 5,000 and 10,000 images, each in a process of its own;
- where the time goes: decoding alone, the network alone, and all of it, in one process.

    taskset -c 0,1 python benchmarks/predict.py [--rounds 3] [--out benchmarks/results/predict.json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

COUNTS = (1000, 5000, 10_000)  # Linux alone tells their memory
ROUND_IMAGES, PLAIN_IMAGES = 2048, 256


def prepared(folder: Path) -> Path:
    """Writes the PNG files, <folder>/<count>/<id>.png; the folder of the finished run."""
    from PIL import Image

    from episodes import datasets
    from fewshot.runs import experiment

    test = datasets.load("cifar10").test
    for count in (*COUNTS, ROUND_IMAGES):
        (folder / str(count)).mkdir()
    for i, pixels in enumerate(test.images.permute(0, 2, 3, 1).numpy()):
        first = folder / str(COUNTS[-1]) / f"{i + 1}.png"
        Image.fromarray(pixels).save(first)
        for count in (*COUNTS[:-1], ROUND_IMAGES):
            if i < count:
                os.link(first, folder / str(count) / first.name)
    values = {"method": "probe", "data": "cifar10", "shots": 16}
    return folder / "runs" / experiment.run(values, [0], out=folder / "runs").run_id


def timed(work: Callable[[], Any]) -> dict[str, float]:
    began, computed = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - computed,
    }


def one_by_one(run: Path, files: list[Path]) -> Callable[[], Any]:
    """The plain loop, ready to start."""
    import numpy as np
    import torch
    from PIL import Image

    from fewshot import config, io
    from fewshot.runs import fitting, resolve

    values = config.read(run / "config.yaml")
    values.pop("compute")
    made = resolve.prepare(values, run.parent)
    learner = fitting.build(made, 0).eval()
    support = torch.tensor(io.read_json(run / "trial-0" / "indices.json")["support"])

    @torch.no_grad()
    def loop() -> list[str]:
        found = []
        for file in files:
            pixels = np.array(Image.open(file).convert("RGB"))
            image = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(made.compute.device) / 255
            found.append(made.data.train.classes[int(classify(image).argmax())])
        return found

    with torch.no_grad():
        classify = learner.adapt(
            fitting.handed(learner, made.data.train, support, made.compute.device)
        )
    return loop


def rounds(run: Path, folder: Path, n: int) -> dict[str, Any]:
    """Seconds for 1,000 images of both, and ratios of each round."""
    from fewshot.model import prediction

    out = folder / "round.csv"
    loop = one_by_one(
        run, [folder / str(ROUND_IMAGES) / f"{i + 1}.png" for i in range(PLAIN_IMAGES)]
    )
    found: list[dict[str, dict[str, float]]] = []
    for _ in range(n):
        both = {
            "predict": (
                lambda: prediction.predict(run, folder / str(ROUND_IMAGES), out, kaggle=True),
                ROUND_IMAGES,
            )
        }
        both["one by one"] = (loop, PLAIN_IMAGES)
        found.append(
            {
                name: {key: 1000 * each / count for key, each in timed(work).items()}
                for name, (work, count) in both.items()
            }
        )
    expected = [line.split(",")[1] for line in out.read_text().splitlines()[1 : PLAIN_IMAGES + 1]]
    assert loop() == expected, "the plain loop gives other classes"
    return {
        "for_1000_images": found,
        "one_by_one_over_predict": {
            key: statistics.median(each["one by one"][key] / each["predict"][key] for each in found)
            for key in ("seconds", "processor_seconds")
        },
    }


def alone(run: Path, images: Path) -> dict[str, dict[str, float]]:
    """Seconds of each part of the work by itself, for all images of a folder."""
    from episodes.datasets.parallel_decode import decoded_chunks
    from fewshot.model import prediction, predictor

    files = sorted(images.iterdir())
    decoded, ready = [], None

    def start() -> None:
        nonlocal ready
        ready = predictor.load(run)

    def decode() -> None:
        chunks = (
            files[first : first + ready.at_once] for first in range(0, len(files), ready.at_once)
        )
        decoded.extend(pixels for pixels, _ in decoded_chunks(chunks, ready.side))

    def network() -> None:
        for pixels in decoded:
            ready.logits(pixels)

    out = images.parent / "alone.csv"
    whole = timed(lambda: prediction.predict(run, images, out))  # and the imports, once
    found = {"start": timed(start), "decoding": timed(decode), "network": timed(network)}
    return {**found, "everything, with imports": whole}


def in_processes(run: Path, folder: Path) -> Iterator[dict[str, Any]]:
    for count in COUNTS:
        command = [sys.executable, __file__, "--child", str(run), str(folder / str(count))]
        yield {
            "images": count,
            **json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout),
        }


def resident_mb(key: str) -> float:
    """VmRSS, now, or VmHWM, the most since the last reset; not getrusage's, which begins with that of the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


def child(run: Path, images: Path) -> dict[str, float]:
    """start_mb: the most until the first images are done; peak_mb: the most from then on."""
    from fewshot.model import prediction

    start: list[float] = []

    def tell(text: str) -> None:
        if "images" in text and not start:
            start.append(resident_mb("VmHWM"))
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM

    found = timed(
        lambda: prediction.predict(
            run, images, images.parent / f"{images.name}.csv", kaggle=True, tell=tell
        )
    )
    return {**found, "start_mb": start[0], "peak_mb": resident_mb("VmHWM")}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "predict.json"
    )
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does
    if options.child:
        print(json.dumps(child(*options.child)))
        return
    from fewshot.runs import provenance
    from fewshot.training import devices

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = prepared(folder)
        memory = list(in_processes(run, folder))
        parts = alone(run, folder / str(ROUND_IMAGES))
        speed = rounds(run, folder, options.rounds)
    result = {
        "what": "fewshot predict, a probe on mini-resnet in four views, CIFAR-10 test images as PNG files",
        "machine": devices.name(devices.pick(None)),
        "load_average": os.getloadavg(),
        "versions": provenance.versions(),
        "n": options.rounds,
        **speed,
        f"alone_for_{ROUND_IMAGES}_images": parts,
        "memory": memory,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: result[key] for key in ("one_by_one_over_predict", "memory")}, indent=1))


if __name__ == "__main__":
    main()
