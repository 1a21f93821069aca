"""Small data sets on disk that the tests of the data sets share."""

import pickle
from pathlib import Path

import numpy as np
from PIL import Image

CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def save_image(path: Path, seed: int, size: tuple[int, int] = (16, 16)) -> None:
    """Save an image of noise; size is its width and height in pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def save_classes(folder: Path, counts: dict[str, int], suffix: str = ".png") -> None:
    """Save class folders with as many different images as `counts` says."""
    for number, (name, count) in enumerate(counts.items()):
        for i in range(count):
            save_image(folder / name / f"{i:03}{suffix}", seed=1000 * number + i)


def save_batches(folder: Path) -> np.ndarray:
    """Save small CIFAR-10 batches in the original layout; return the training rows [20, 3072]."""
    folder.mkdir(parents=True)
    rows = np.random.default_rng(0).integers(0, 256, (30, 3072), dtype=np.uint8)
    row_ranges = {
        "data_batch_1": slice(0, 10),
        "data_batch_2": slice(10, 20),
        "test_batch": slice(20, 30),
    }
    for name, row_range in row_ranges.items():
        batch = {b"data": rows[row_range], b"labels": list(range(10)), b"batch_label": b"one"}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {b"label_names": [name.encode() for name in CIFAR10]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    return rows[:20]
