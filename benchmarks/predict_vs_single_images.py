"""Compare `fewshot predict` on CIFAR-10's test images with a plain loop over single images.

The run is a probe at 16 shots on the preset's backbone (mini-resnet, shipped weights, four views of
an image); the images are PNG files. Three things are measured:

- speed, beside a loop with PIL and the same classifier on one image at a time, in turns: ratios of
  seconds, and of processor seconds, which other processes disturb less;
- the most memory used with 1,000, 5,000 and 10,000 images, each in a process of its own (Linux);
- where the time goes: decoding alone, the network alone, and everything, in one process.

    taskset -c 0,1 python -m benchmarks.predict_vs_single_images [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import common

COUNTS = (1000, 5000, 10_000)
ROUND_IMAGES, PLAIN_IMAGES = 2048, 256


def prepare(folder: Path) -> Path:
    """Write the PNG files as <folder>/<count>/<id>.png and return the folder of the probe's run."""
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


def single_image_loop(run: Path, files: list[Path]) -> Callable[[], list[str]]:
    """Return the plain loop, ready to start: it returns the class of every file."""
    import numpy as np
    import torch
    from PIL import Image

    from episodes import streams
    from fewshot.model.restore import restore

    trial = restore(run, 0)
    data, device = trial.run.data.train, trial.run.compute.device
    with torch.no_grad():
        support = streams.labelled(data, trial.train_indices, device)
        classify = trial.learner.eval().adapt(support)

    @torch.no_grad()
    def loop() -> list[str]:
        classes = []
        for file in files:
            pixels = np.array(Image.open(file).convert("RGB"))
            image = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(device) / 255
            classes.append(data.classes[int(classify(image).argmax())])
        return classes

    return loop


def in_turns(run: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Return the seconds for 1,000 images of both ways, and the ratios."""
    from fewshot.model import prediction

    out = folder / "round.csv"
    images = folder / str(ROUND_IMAGES)
    loop = single_image_loop(run, [images / f"{i + 1}.png" for i in range(PLAIN_IMAGES)])

    def predict() -> None:
        prediction.predict(run, [images], out, kaggle=True)

    turns = [
        {
            "predict": _for_1000(predict, ROUND_IMAGES),
            "one by one": _for_1000(loop, PLAIN_IMAGES),
        }
        for _ in range(rounds)
    ]
    expected = [
        line.split(",")[1]
        for line in out.read_text(encoding="utf-8").splitlines()[1 : PLAIN_IMAGES + 1]
    ]
    assert loop() == expected, "the plain loop gives other classes"
    return {
        "for_1000_images": turns,
        "one_by_one_over_predict": {
            key: statistics.median(turn["one by one"][key] / turn["predict"][key] for turn in turns)
            for key in ("seconds", "processor_seconds")
        },
    }


def _for_1000(work: Callable[[], Any], n_images: int) -> dict[str, float]:
    spent = common.clock_and_processor_seconds(work)
    return {key: 1000 * value / n_images for key, value in spent.items()}


def parts(run: Path, images: Path) -> dict[str, dict[str, float]]:
    """Return the seconds of each part of the work by itself, for all images of a folder."""
    from episodes.datasets.decoding.parallel_decode import decoded_chunks
    from fewshot.model import prediction, predictor

    out = images.parent / "alone.csv"
    everything = common.clock_and_processor_seconds(lambda: prediction.predict(run, [images], out))
    start = common.clock_and_processor_seconds(lambda: predictor.load(run))
    ready = predictor.load(run)
    files = sorted(images.iterdir())
    size = ready.batch_size
    chunks = [files[first : first + size] for first in range(0, len(files), size)]
    decoded: list[Any] = []

    def decode() -> None:
        decoded.extend(chunk.pixels for chunk in decoded_chunks(iter(chunks), ready.decoding))

    def classify() -> None:
        for pixels in decoded:
            ready.logits(pixels)

    return {
        "start": start,
        "decoding": common.clock_and_processor_seconds(decode),
        "network": common.clock_and_processor_seconds(classify),
        "everything, with imports": everything,
    }


def memory_of(count: int, run: Path, folder: Path) -> dict[str, Any]:
    """Return the memory that predicting so many images uses, in a process of its own."""
    words = ("--child", str(run), str(folder / str(count)))
    line = common.in_new_process("benchmarks.predict_vs_single_images", *words)
    return {"images": count, **json.loads(line)}


def resident_mb(key: str) -> float:
    """Return VmRSS, the memory now, or VmHWM, the most since the last reset.

    `getrusage` is of no use: its maximum begins with that of the parent process.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


def child(run: Path, images: Path) -> dict[str, float]:
    """Predict the images of a folder and measure the memory of this process.

    Returns:
        Seconds; `start_mb`, the most memory until the first images are done; `peak_mb`, the most
        from then on.
    """
    from fewshot import progress
    from fewshot.model import prediction

    start: list[float] = []

    def note_first(text: str) -> None:
        if "images" in text and not start:
            start.append(resident_mb("VmHWM"))
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets VmHWM

    out = images.parent / f"{images.name}.csv"
    with progress.shown_by(note_first):
        spent = common.clock_and_processor_seconds(
            lambda: prediction.predict(run, [images], out, kaggle=True)
        )
    return {**spent, "start_mb": start[0], "peak_mb": resident_mb("VmHWM")}


def main() -> None:
    """Measure memory, parts and speed, and write the result."""
    parser = common.parser(__doc__, "predict_vs_single_images", rounds=3)
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does
    if options.child:
        print(json.dumps(child(*options.child)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = prepare(folder)
        memory = [memory_of(count, run, folder) for count in COUNTS]
        alone = parts(run, folder / str(ROUND_IMAGES))
        speed = in_turns(run, folder, options.rounds)
    result = {
        "what": "fewshot predict, a probe on mini-resnet in four views, CIFAR-10 test images as "
        "PNG files",
        "n": options.rounds,
        **speed,
        f"alone_for_{ROUND_IMAGES}_images": alone,
        "memory": memory,
        **common.machine(),
    }
    common.write(options.out, result, ("one_by_one_over_predict", "memory"))


if __name__ == "__main__":
    main()
