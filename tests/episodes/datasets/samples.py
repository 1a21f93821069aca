"""Small data sets on disk that the tests of the data sets share."""

import json
import pickle
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[3]
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def save_image(path: Path, seed: int, size: tuple[int, int] = (16, 16)) -> None:
    """Save an image of noise; size is its width and height in pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def save_classes(folder: Path, counts: dict[str, int], suffix: str = ".png") -> None:
    """Save class folders with as many different images as `counts` says.

    Those of the folders `train` and `test` differ, too.
    """
    of_folder = 100_000 * (zlib.crc32(folder.name.encode()) % 1000)
    for number, (name, count) in enumerate(counts.items()):
        for i in range(count):
            save_image(folder / name / f"{i:03}{suffix}", seed=of_folder + 1000 * number + i)


def uniform_quarters(colours: str) -> np.ndarray:
    """Return an image of four uniform quarters, uint8 [8, 8, 3], as a listed fault describes it."""
    quarters = np.frombuffer(bytes.fromhex(colours), np.uint8).reshape(3, 2, 2)
    return quarters.transpose(1, 2, 0).repeat(4, axis=0).repeat(4, axis=1)


def save_known_faults(folder: Path) -> None:
    """Save class folders of noise, with all known faults of CIFAR-10 in an order of their own.

    In each class of the test set, the listed images come first and two others last.
    """
    save_classes(folder / "train", dict.fromkeys(CIFAR10, 3))
    listed = json.loads((ROOT / "episodes/datasets/cifar10_faults.json").read_text())["images"]
    for number, name in enumerate(CIFAR10):
        for i in range(2):
            save_image(folder / "test" / name / f"last{i}.png", seed=7 + 10 * number + i)
    for _, name, rank, _, colours in listed:
        image = Image.fromarray(uniform_quarters(colours)).resize((16, 16), Image.Resampling.BOX)
        image.save(folder / "test" / name / f"{rank * 7 % 997}.png")


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
