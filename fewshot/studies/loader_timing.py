"""Seconds to load an epoch: torchvision and a DataLoader by their settings, beside our stream in memory (row K3)."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from episodes import augment, datasets, streams
from fewshot.training import devices

WORKERS, BATCHES, PINNED = (0, 1, 2, 4), (32, 128, 512), (False, True)
CHANGES: list[dict[str, Any]] = [{"name": "flip"}, {"name": "translate", "pixels": 4}]
REPEATS = 3


class _Pictures(Dataset[tuple[Tensor, int]]):
    """As torchvision's CIFAR10: an array, each image of it through PIL and torchvision's transforms when asked for."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        from torchvision import transforms

        self.images = images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = labels.tolist()
        side = images.shape[-1]
        self.change = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomCrop(side, padding=4),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.change(Image.fromarray(self.images[index])), self.labels[index]


def measure(smoke: bool = False) -> dict[str, Any]:
    """Images of CIFAR-10 (in smoke a few digits) mirrored and moved, loaded once: the least of three times.

    What trains is left out, so these are the seconds that loading costs where training waits for it.
    """
    data = datasets.load("digits" if smoke else "cifar10").train
    n = 256 if smoke else 50_000
    images, labels = data.images[:n], data.labels[:n]
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    pictures = _Pictures(images, labels)
    workers, batches = ((0, 1), (32,)) if smoke else (WORKERS, BATCHES)
    pinned = PINNED if torch.cuda.is_available() else (False,)
    repeats = 1 if smoke else REPEATS
    rows: list[list[Any]] = []
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "This DataLoader will create"
        )  # more workers than cores are measured too
        for batch, count, pin in itertools.product(batches, workers, pinned):
            loader = DataLoader(pictures, batch, shuffle=True, num_workers=count, pin_memory=pin)
            seconds = _least(partial(iter, loader), repeats)
            rows.append(
                [f"DataLoader, {count} workers", batch, "yes" if pin else "no", round(seconds, 3)]
            )
    pool = streams.pool(data, torch.arange(len(images)), "cpu")
    change = augment.build(augment.check(CHANGES), len(data.classes))
    for batch in batches:
        seconds = _least(
            partial(_streamed, streams.batches(pool, batch, change, 0), -(-len(images) // batch)),
            repeats,
        )
        rows.append(["our stream", batch, "no", round(seconds, 3)])
    note = (
        "" if torch.cuda.is_available() else "; pinned memory needs a GPU, and there is none here"
    )
    return {
        "kind": "benchmark",
        "what": f"seconds to load {len(images):,} images once, mirrored and moved, without training{note}",
        "machine": devices.name("cpu"),
        "columns": ["loader", "batch", "pinned", "seconds an epoch"],
        "rows": rows,
    }


def _streamed(stream: Callable[[int], object], steps: int) -> Iterable[object]:
    return map(stream, range(steps))


def _least(epoch: Callable[[], Iterable[object]], repeats: int) -> float:
    """Seconds to go through an epoch, the least of a few times."""
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in epoch():
            pass
        found.append(time.perf_counter() - began)
    return min(found)
