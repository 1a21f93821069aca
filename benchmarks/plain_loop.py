"""Our stream, trainer and load beside a plain torchvision CIFAR10 + DataLoader(num_workers=2) + float32 loop.

Both are timed in turns in one call, on the same machine, network (enhanced-cnn), batch size and augmentation
(crop with 4 pixels of border, flip); what counts is the ratio of the medians. Needs the Parquet copy of CIFAR-10
under $FEWSHOT_DATA/cifar10, which is written once as torchvision's own batches for the plain loop.

    python benchmarks/plain_loop.py [--rounds 5] [--steps 30] [--out benchmarks/results/plain_loop.json]
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

BATCH, WARM_UP = 128, 3
SPEEDS = ("plain", "ours", "ours, memory given back")
CHANGE = [{"name": "translate", "pixels": 4, "border": "zero"}, "flip"]

# A fresh interpreter each, from its start to the first batch of augmented images and labels in hand.
PLAIN_FIRST_BATCH = """
import json, sys
import torch, torchvision
from torchvision import transforms as T
root, sums = sys.argv[1], json.load(open(sys.argv[1] + "/sums.json"))
class Copy(torchvision.datasets.CIFAR10):
    train_list = [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)]
    test_list = [["test_batch", sums["test_batch"]]]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}
data = Copy(root, transform=T.Compose([T.RandomCrop(32, 4), T.RandomHorizontalFlip(), T.ToTensor()]))
images, labels = next(iter(torch.utils.data.DataLoader(data, batch_size=128, shuffle=True, num_workers=2)))
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
TELL = "\nimport os, time; print(time.clock_gettime(time.CLOCK_MONOTONIC), flush=True); os._exit(0)"


def write_batches(root: Path) -> None:
    """The loaded images as torchvision's cifar-10-batches-py, with the checksums that it verifies."""
    from episodes import datasets

    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    train, test = datasets.load("cifar10")
    sums = {}

    def write(name: str, content: dict[str, object]) -> None:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        sums[name] = hashlib.md5(data).hexdigest()

    for i in range(5):
        part = slice(10_000 * i, 10_000 * (i + 1))
        pixels = train.images[part].reshape(10_000, -1).numpy().copy()
        write(f"data_batch_{i + 1}", {"data": pixels, "labels": train.labels[part].tolist()})
    pixels = test.images[:].reshape(10_000, -1).numpy().copy()
    write("test_batch", {"data": pixels, "labels": test.labels.tolist()})
    write("batches.meta", {"label_names": list(train.classes)})
    (root / "sums.json").write_text(json.dumps(sums))


def first_batch_seconds(code: str, *arguments: str) -> float:
    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    done = subprocess.run(
        [sys.executable, "-c", code + TELL, *arguments], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1]) - began


def plain_data(root: Path, train: bool = True):
    """torchvision's CIFAR10 over what `write_batches` wrote, cropped and mirrored at random where it trains."""
    import torchvision
    from torchvision import transforms as T

    sums = json.loads((root / "sums.json").read_text())
    members = {
        "train_list": [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)],
        "test_list": [["test_batch", sums["test_batch"]]],
        "meta": {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]},
    }
    copy = type("Copy", (torchvision.datasets.CIFAR10,), members)
    change = [T.RandomCrop(32, 4), T.RandomHorizontalFlip()] if train else []
    return copy(str(root), train=train, transform=T.Compose([*change, T.ToTensor()]))


def plain_speed(root: Path, steps: int) -> float:
    """Images a second of the loop of many a notebook: float32, DataLoader with two workers, a loss read each step."""
    import torch

    loader = torch.utils.data.DataLoader(
        plain_data(root), batch_size=BATCH, shuffle=True, num_workers=2
    )
    network = network_for("float32", channels_last=False).train()
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


def our_speed(steps: int, keep: bool) -> float:
    """Images a second of `trainer.fit`, in the precision and layout of this machine."""
    import torch

    from episodes import augment, datasets, streams
    from fewshot.config import Train
    from fewshot.training import devices, trainer

    if keep:
        devices.keep_freed_memory()
    compute = devices.resolve("cpu", "auto")
    data = datasets.load("cifar10").train
    pool = streams.pool(data, torch.arange(len(data)), "cpu")
    stream = streams.batches(pool, BATCH, augment.build(CHANGE, 10), seed=0)
    network = network_for(compute.precision, compute.channels_last)
    settings = {
        "batch_size": BATCH,
        "optimizer": {"name": "adam"},
        "lr": 1e-3,
        "schedule": {"name": "constant"},
    }
    trainer.fit(network, stream, Train(steps=WARM_UP, **settings), len(data) / BATCH)
    fitted = trainer.fit(network, stream, Train(steps=steps, **settings), len(data) / BATCH)
    return fitted.images / fitted.seconds


def network_for(precision: str, channels_last: bool):
    """The enhanced CNN with its 10-way head."""
    from fewshot import backbones
    from fewshot.config import BackboneSettings
    from fewshot.learners.base import Task
    from fewshot.learners.scratch import Options, Scratch

    network = Scratch(backbones.build(BackboneSettings(name="enhanced-cnn")), Task(10), Options())
    network.backbone.set_compute(precision, channels_last)
    return network


def speed(what: str, root: Path, steps: int) -> float:
    """Measured in a process of its own, so that neither loop runs under the settings of the other."""
    command = [
        sys.executable,
        __file__,
        "--measure",
        what,
        "--root",
        str(root),
        "--steps",
        str(steps),
    ]
    return float(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "plain_loop.json"
    )
    parser.add_argument("--measure", choices=SPEEDS, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        plain = options.measure == "plain"
        found = (
            plain_speed(options.root, options.steps)
            if plain
            else our_speed(options.steps, options.measure == "ours")
        )
        print(found)
        return
    starts: dict[str, list[float]] = {"plain": [], "ours": [], "import torch": []}
    speeds: dict[str, list[float]] = {what: [] for what in SPEEDS}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_batches(root)
        for _ in range(options.rounds):
            starts["plain"].append(first_batch_seconds(PLAIN_FIRST_BATCH, str(root)))
            starts["ours"].append(first_batch_seconds(OUR_FIRST_BATCH))
            starts["import torch"].append(first_batch_seconds("import torch"))
            for what in SPEEDS:
                speeds[what].append(speed(what, root, options.steps))
    tell(options, starts, speeds)


def tell(
    options: argparse.Namespace, starts: dict[str, list[float]], speeds: dict[str, list[float]]
) -> None:
    """Medians and ratios, printed and written with all that was measured."""
    from fewshot.runs import provenance
    from fewshot.training import devices

    start = {name: statistics.median(values) for name, values in starts.items()}
    median = {name: statistics.median(values) for name, values in speeds.items()}
    beyond = {name: start[name] - start["import torch"] for name in ("plain", "ours")}
    ratios = {
        "training step, to the plain loop": median["ours"] / median["plain"],
        "training step, to ours without kept memory": median["ours"]
        / median["ours, memory given back"],
        "first batch, to the plain loop": start["plain"] / start["ours"],
        "first batch beyond import torch": beyond["plain"] / beyond["ours"],
    }
    result = {
        "what": "enhanced-cnn, batch 128, crop and flip, Adam; medians of n rounds in turns",
        "n": options.rounds,
        "machine": devices.name("cpu"),
        "versions": provenance.versions(),
        "images_per_second": median,
        "first_batch_seconds": start,
        "ratios": ratios,
        "all": {"images_per_second": speeds, "first_batch_seconds": starts},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    for name, value in ratios.items():
        print(f"{name}: {value:.2f} times faster")
    print(f"images/s: {', '.join(f'{name} {value:.0f}' for name, value in median.items())}")
    print(
        f"seconds from process start to first batch: {', '.join(f'{k} {v:.2f}' for k, v in start.items())}"
    )
    print(options.out)


if __name__ == "__main__":
    main()
