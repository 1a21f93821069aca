"""Compare our stream, trainer and start-up with a plain torchvision and DataLoader loop.

The plain loop is torchvision's CIFAR10, DataLoader(num_workers=2) and float32. Both are timed in
turns in one call, with the same machine, network (enhanced-cnn), batch size and augmentation (crop
with a border of 4 pixels, flip); what counts is the ratio of the medians. Needs CIFAR-10 under
$FEWSHOT_DATA/cifar10, which is written once in torchvision's own format for the plain loop.

    python -m benchmarks.training_loop_vs_torchvision [--rounds 5] [--steps 30]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import common

NAME = "training_loop_vs_torchvision"
BATCH, WARM_UP = 128, 3
SPEEDS = ("plain", "ours", "ours, memory given back")
AUGMENT = [{"name": "translate", "pixels": 4, "border": "zero"}, "flip"]

# Each runs in a new interpreter, from its start to the first batch of augmented images and labels.
PLAIN_FIRST_BATCH = """
import json, sys
import torch, torchvision
from torchvision import transforms as T
root, sums = sys.argv[1], json.load(open(sys.argv[1] + "/checksums.json"))
class WrittenCIFAR10(torchvision.datasets.CIFAR10):
    train_list = [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)]
    test_list = [["test_batch", sums["test_batch"]]]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}
change = T.Compose([T.RandomCrop(32, 4), T.RandomHorizontalFlip(), T.ToTensor()])
data = WrittenCIFAR10(root, transform=change)
loader = torch.utils.data.DataLoader(data, batch_size=128, shuffle=True, num_workers=2)
images, labels = next(iter(loader))
assert images.shape == (128, 3, 32, 32)
"""
OUR_FIRST_BATCH = """
import torch
from episodes import augment, datasets, streams
data = datasets.load("cifar10").train
change = augment.build([{"name": "translate", "pixels": 4, "border": "zero"}, "flip"], 10)
stream = streams.batches(streams.Pool(data.images, data.labels, 10), 128, change, seed=0)
images, labels, _ = stream(0)
assert images.shape == (128, 3, 32, 32)
"""
PRINT_TIME = """
import os, time
print(time.clock_gettime(time.CLOCK_MONOTONIC), flush=True)
os._exit(0)
"""


def write_batches(root: Path) -> None:
    """Write CIFAR-10 as torchvision's cifar-10-batches-py, with the checksums that it verifies."""
    from episodes import datasets

    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    train, test = datasets.load("cifar10")
    checksums = {}

    def write(name: str, content: dict[str, object]) -> None:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        checksums[name] = hashlib.md5(data).hexdigest()

    for i in range(5):
        rows = slice(10_000 * i, 10_000 * (i + 1))
        pixels = train.images[rows].reshape(10_000, -1).numpy().copy()
        write(f"data_batch_{i + 1}", {"data": pixels, "labels": train.labels[rows].tolist()})
    pixels = test.images[:].reshape(10_000, -1).numpy().copy()
    write("test_batch", {"data": pixels, "labels": test.labels.tolist()})
    write("batches.meta", {"label_names": list(train.classes)})
    (root / "checksums.json").write_text(json.dumps(checksums), encoding="utf-8")


def first_batch_seconds(code: str, *arguments: str) -> float:
    """Return the seconds from the start of a new interpreter to the end of some code."""
    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    command = [sys.executable, "-c", code + PRINT_TIME, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=True, cwd=common.ROOT
    )
    return float(done.stdout.split()[-1]) - began


def plain_data(root: Path, train: bool = True) -> Any:
    """Return torchvision's CIFAR10 over the written batches; training images are augmented."""
    import torchvision
    from torchvision import transforms as T

    checksums = json.loads((root / "checksums.json").read_text(encoding="utf-8"))
    names = [f"data_batch_{i}" for i in range(1, 6)]
    attributes = {
        "train_list": [[name, checksums[name]] for name in names],
        "test_list": [["test_batch", checksums["test_batch"]]],
        "meta": {
            "filename": "batches.meta",
            "key": "label_names",
            "md5": checksums["batches.meta"],
        },
    }
    written_cifar10 = type("WrittenCIFAR10", (torchvision.datasets.CIFAR10,), attributes)
    augment = [T.RandomCrop(32, 4), T.RandomHorizontalFlip()] if train else []
    return written_cifar10(str(root), train=train, transform=T.Compose([*augment, T.ToTensor()]))


def plain_speed(root: Path, steps: int) -> float:
    """Return images per second of a typical notebook's loop: float32, a loss read every step."""
    import torch

    loader = torch.utils.data.DataLoader(
        plain_data(root), batch_size=BATCH, shuffle=True, num_workers=2
    )
    network = build_network("float32", channels_last=False).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    began = 0.0
    for step, (images, labels) in enumerate(loader):
        if step == WARM_UP:
            began = time.perf_counter()
        if step == steps + WARM_UP:
            break
        loss = torch.nn.functional.cross_entropy(network.head(network.backbone(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
    return steps * BATCH / (time.perf_counter() - began)


def our_speed(steps: int, keep_memory: bool) -> float:
    """Return images per second of `trainer.fit`, in this machine's precision and layout."""
    import torch

    from episodes import augment, datasets, streams
    from fewshot.config import Train
    from fewshot.training import devices, trainer

    if keep_memory:
        devices.keep_freed_memory()
    compute = devices.resolve("cpu", "auto")
    data = datasets.load("cifar10").train
    pool = streams.pool(data, torch.arange(len(data)), "cpu")
    stream = streams.batches(pool, BATCH, augment.build(AUGMENT, 10), seed=0)
    network = build_network(compute.precision, compute.channels_last)
    settings = {
        "batch_size": BATCH,
        "optimizer": {"name": "adam"},
        "lr": 1e-3,
        "schedule": {"name": "constant"},
    }
    trainer.fit(network, stream, Train(steps=WARM_UP, **settings), len(data) / BATCH)
    fitted = trainer.fit(network, stream, Train(steps=steps, **settings), len(data) / BATCH)
    return fitted.images / fitted.seconds


def build_network(precision: str, channels_last: bool) -> Any:
    """Return the enhanced CNN with a head of ten classes."""
    from fewshot import backbones
    from fewshot.config import BackboneSettings
    from fewshot.learners import LEARNERS
    from fewshot.learners.base import Task

    method = LEARNERS["scratch"]
    backbone = backbones.build(BackboneSettings(name="enhanced-cnn"))
    network = method.from_config(backbone, Task(10), method.options_type())
    network.backbone.set_compute(precision, channels_last)
    return network


def speed(loop: str, root: Path, steps: int) -> float:
    """Measure one loop in a new process, so that neither runs under the settings of the other."""
    words = ("--measure", loop, "--root", str(root), "--steps", str(steps))
    return float(common.in_new_process(f"benchmarks.{NAME}", *words))


def summary(starts: dict[str, list[float]], speeds: dict[str, list[float]]) -> dict[str, Any]:
    """Return the medians and ratios of everything that was measured."""
    start = {name: statistics.median(values) for name, values in starts.items()}
    median = {name: statistics.median(values) for name, values in speeds.items()}
    beyond = {name: start[name] - start["import torch"] for name in ("plain", "ours")}
    without_memory = median["ours, memory given back"]
    return {
        "images_per_second": median,
        "first_batch_seconds": start,
        "ratios": {
            "training step, to the plain loop": median["ours"] / median["plain"],
            "training step, to ours without kept memory": median["ours"] / without_memory,
            "first batch, to the plain loop": start["plain"] / start["ours"],
            "first batch beyond import torch": beyond["plain"] / beyond["ours"],
        },
        "all": {"images_per_second": speeds, "first_batch_seconds": starts},
    }


def main() -> None:
    """Measure both loops in turns and write the result."""
    parser = common.parser(__doc__, NAME, rounds=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--measure", choices=SPEEDS, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure == "plain":
        print(plain_speed(options.root, options.steps))
        return
    if options.measure:
        print(our_speed(options.steps, keep_memory=options.measure == "ours"))
        return
    starts: dict[str, list[float]] = {"plain": [], "ours": [], "import torch": []}
    speeds: dict[str, list[float]] = {loop: [] for loop in SPEEDS}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_batches(root)
        for _ in range(options.rounds):
            starts["plain"].append(first_batch_seconds(PLAIN_FIRST_BATCH, str(root)))
            starts["ours"].append(first_batch_seconds(OUR_FIRST_BATCH))
            starts["import torch"].append(first_batch_seconds("import torch"))
            for loop in SPEEDS:
                speeds[loop].append(speed(loop, root, options.steps))
    result = {
        "what": "enhanced-cnn, batch 128, crop and flip, Adam; medians of n rounds in turns",
        "n": options.rounds,
        **summary(starts, speeds),
        **common.machine(),
    }
    common.write(options.out, result, ("images_per_second", "first_batch_seconds", "ratios"))


if __name__ == "__main__":
    main()
