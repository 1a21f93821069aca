"""Measure the seconds to load an epoch: torchvision with a DataLoader, and our streams (row K3)."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from episodes import augment, datasets, streams
from fewshot.studies.results import Benchmark
from fewshot.training import devices

WORKERS, BATCH_SIZES, PINNED = (0, 1, 2, 4), (32, 128, 512), (False, True)
AUGMENTATIONS: list[dict[str, Any]] = [{"name": "flip"}, {"name": "translate", "pixels": 4}]
REPEATS = 3


class _TorchvisionImages(Dataset[tuple[Tensor, int]]):
    """Images in an array, like torchvision's CIFAR10: each goes through PIL when it is read."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        from torchvision import transforms

        self.images = images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomCrop(images.shape[-1], padding=4),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def measure(smoke: bool = False) -> Benchmark:
    """Return a table of the seconds to load all images once, flipped and shifted.

    Nothing trains meanwhile, so the seconds are those that a training waits for its loader.

    Args:
        smoke: load 256 digits once, instead of CIFAR-10 three times (of which the least counts).
    """
    data = datasets.load("digits" if smoke else "cifar10").train
    n = 256 if smoke else 50_000
    images, labels = data.images[:n], data.labels[:n]
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    batch_sizes = (32,) if smoke else BATCH_SIZES
    repeats = 1 if smoke else REPEATS
    rows = _dataloader_rows(
        _TorchvisionImages(images, labels), batch_sizes, (0, 1) if smoke else WORKERS, repeats
    )
    pool = streams.pool(data, torch.arange(len(images)), "cpu")
    transform = augment.build(augment.check(AUGMENTATIONS), len(data.classes))
    for batch_size in batch_sizes:
        stream = streams.batches(pool, batch_size, transform, 0)
        n_batches = -(-len(images) // batch_size)
        seconds = _least_seconds(partial(_streamed, stream, n_batches), repeats)
        rows.append(["our stream", batch_size, "no", round(seconds, 3)])
    note = (
        "" if torch.cuda.is_available() else "; pinned memory needs a GPU, and there is none here"
    )
    return {
        "kind": "benchmark",
        "what": f"seconds to load {len(images):,} images once, mirrored and shifted, without "
        f"training{note}",
        "machine": devices.name("cpu"),
        "columns": ["loader", "batch", "pinned", "seconds per epoch"],
        "rows": rows,
    }


def _dataloader_rows(
    images: _TorchvisionImages,
    batch_sizes: Iterable[int],
    workers: Iterable[int],
    repeats: int,
) -> list[list[Any]]:
    rows: list[list[Any]] = []
    pinned = PINNED if torch.cuda.is_available() else (False,)
    with warnings.catch_warnings():
        # More workers than cores are measured too.
        warnings.filterwarnings("ignore", "This DataLoader will create")
        for batch_size, count, pin in itertools.product(batch_sizes, workers, pinned):
            loader = DataLoader(images, batch_size, shuffle=True, num_workers=count, pin_memory=pin)
            seconds = _least_seconds(partial(iter, loader), repeats)
            label = f"DataLoader, {count} worker{'' if count == 1 else 's'}"
            rows.append([label, batch_size, "yes" if pin else "no", round(seconds, 3)])
    return rows


def _streamed(stream: Callable[[int], object], n_batches: int) -> Iterator[object]:
    return map(stream, range(n_batches))


def _least_seconds(epoch: Callable[[], Iterable[object]], repeats: int) -> float:
    """Return the seconds of the fastest of several passes through an epoch."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        for _ in epoch():
            pass
        seconds.append(time.perf_counter() - started)
    return min(seconds)
