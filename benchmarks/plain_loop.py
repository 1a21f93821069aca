"""Our stream, trainer and load beside a plain torchvision CIFAR10 + DataLoader(num_workers=2) + float32 loop.

Both are timed in turns in one call, on the same machine, network (enhanced-cnn), batch size and augmentation
(crop with 4 pixels of border, flip); what counts is the ratio of the medians. Needs the Parquet copy of CIFAR-10
under $FEWSHOT_DATA/cifar10, which is written once as torchvision's own batches for the plain loop.

    python benchmarks/plain_loop.py [--rounds 3] [--steps 24] [--out benchmarks/results/plain_loop.json]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH = 128

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
images, labels = stream(0)
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
    done = subprocess.run([sys.executable, "-c", code + TELL, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1]) - began


def import_seconds(module: str) -> float:
    return first_batch_seconds(f"import {module}")


class Plain:
    """The loop of many a notebook: float32, DataLoader with two workers, a loss read at every step."""

    def __init__(self, root: Path) -> None:
        import torch
        import torchvision
        from torchvision import transforms as T

        from fewshot import backbones
        from fewshot.config import BackboneSettings
        from fewshot.learners.protocol import Task
        from fewshot.learners.scratch import Options, Scratch

        sums = json.loads((root / "sums.json").read_text())
        members = {
            "train_list": [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)],
            "test_list": [["test_batch", sums["test_batch"]]],
            "meta": {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]},
        }
        copy = type("Copy", (torchvision.datasets.CIFAR10,), members)
        change = T.Compose([T.RandomCrop(32, 4), T.RandomHorizontalFlip(), T.ToTensor()])
        data = copy(str(root), transform=change)
        self.loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=2)
        self.network = Scratch(backbones.build(BackboneSettings(name="enhanced-cnn")), Task(10), Options())
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)

    def images_per_second(self, steps: int) -> float:
        """Over `steps` steps, the first two not counted."""
        import torch

        self.network.train()
        began = 0.0
        for step, (images, labels) in enumerate(self.loader):
            if step == 2:
                began = time.perf_counter()
            if step == steps + 2:
                break
            loss = torch.nn.functional.cross_entropy(self.network.head(self.network.backbone(images)), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss.item()
        return steps * BATCH / (time.perf_counter() - began)


def our_images_per_second(steps: int) -> float:
    """`trainer.fit` itself, with the precision and layout of this machine, after a short fit to warm up."""
    import torch

    from episodes import augment, datasets, streams
    from fewshot import backbones, devices, trainer
    from fewshot.config import BackboneSettings, Train
    from fewshot.learners.protocol import Task
    from fewshot.learners.scratch import Options, Scratch

    compute = devices.resolve("cpu", "auto")
    data = datasets.load("cifar10").train
    pool = streams.pool(data, torch.arange(len(data)), "cpu")
    change = augment.build([{"name": "translate", "pixels": 4, "border": "zero"}, "flip"], 10)
    network = Scratch(backbones.build(BackboneSettings(name="enhanced-cnn")), Task(10), Options())
    network.backbone.set_compute(compute.precision, compute.channels_last)
    settings = {"batch_size": BATCH, "optimizer": {"name": "adam"}, "lr": 1e-3, "schedule": {"name": "constant"}}
    stream = streams.batches(pool, BATCH, change, seed=0)
    trainer.fit(network, stream, Train(steps=2, **settings), len(data) / BATCH)
    fitted = trainer.fit(network, stream, Train(steps=steps, **settings), len(data) / BATCH)
    return fitted.images / fitted.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "plain_loop.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_batches(root)
        starts = {"plain": [], "ours": [], "import torch": []}
        speeds = {"plain": [], "ours": []}
        for _ in range(options.rounds):
            starts["plain"].append(first_batch_seconds(PLAIN_FIRST_BATCH, str(root)))
            starts["ours"].append(first_batch_seconds(OUR_FIRST_BATCH))
            starts["import torch"].append(import_seconds("torch"))
        plain = Plain(root)
        for _ in range(options.rounds):
            speeds["plain"].append(plain.images_per_second(options.steps))
            speeds["ours"].append(our_images_per_second(options.steps))
    start = {name: statistics.median(values) for name, values in starts.items()}
    speed = {name: statistics.median(values) for name, values in speeds.items()}
    from fewshot import devices, provenance

    result = {
        "what": "enhanced-cnn, batch 128, crop and flip; medians of n",
        "n": options.rounds,
        "machine": devices.name("cpu"),
        "cores": os.cpu_count(),
        "versions": provenance.versions(),
        "train_images_per_second": speed,
        "train_ratio": speed["ours"] / speed["plain"],
        "first_batch_seconds": start,
        "first_batch_ratio": start["plain"] / start["ours"],
        "first_batch_ratio_beyond_import_torch": (start["plain"] - start["import torch"])
        / (start["ours"] - start["import torch"]),
        "all": {"train_images_per_second": speeds, "first_batch_seconds": starts},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"training step: {speed['ours']:.0f} images/s beside {speed['plain']:.0f}: {result['train_ratio']:.2f} times")
    print(
        f"process start to first batch: {start['ours']:.2f} s beside {start['plain']:.2f} s: "
        f"{result['first_batch_ratio']:.2f} times ({start['import torch']:.2f} s of both is `import torch`; without it "
        f"{result['first_batch_ratio_beyond_import_torch']:.1f} times)"
    )
    print(options.out)


if __name__ == "__main__":
    main()
