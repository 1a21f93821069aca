"""A folder of pictures with one fault of most kinds, which the tests of the checks share."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

SIDE = 96


def scene(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Return a picture of coarse and fine coloured spots, width and height in pixels."""
    random = np.random.default_rng(seed)
    width, height = size
    layers = []
    for side in (3, 12, 48):
        spots = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        layers.append(np.asarray(Image.fromarray(spots).resize((width, height)), dtype=float))
    return Image.fromarray(np.mean(layers, axis=0).astype(np.uint8))


def save(folder: Path, n: int = 10) -> Path:
    """Save folders `cat` and `dog` of n sound pictures each, and return their folder."""
    for number, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            scene(1000 * number + i).save(folder / name / f"{i:02}.png")
    return folder


def plant(folder: Path) -> dict[str, str]:
    """Add faults to a saved folder; return the kind of the fault of each new file."""
    cat, dog = folder / "cat", folder / "dog"
    picture = scene(77)
    picture.point(lambda value: value // 10).save(cat / "dark.png")
    scene(78).filter(ImageFilter.GaussianBlur(6)).save(cat / "blurry.png")
    scene(79).convert("L").save(cat / "grey.png")
    scene(80, (300, 60)).save(cat / "long.png")
    scene(81, (12, 12)).save(cat / "tiny.png")
    Image.new("RGB", (SIDE, SIDE), (200, 180, 40)).save(cat / "flat.png")
    scene(82).point(lambda value: 255 - value // 30).save(cat / "light.png")
    (cat / "broken.png").write_bytes((cat / "00.png").read_bytes()[:200])
    shutil.copy(cat / "01.png", cat / "copy.png")
    shutil.copy(cat / "02.png", dog / "cat.png")
    return {
        "cat/dark.png": "dark",
        "cat/blurry.png": "blurry",
        "cat/grey.png": "grey",
        "cat/long.png": "odd aspect",
        "cat/tiny.png": "tiny",
        "cat/flat.png": "low information",
        "cat/light.png": "light",
        "cat/broken.png": "broken",
        "cat/copy.png": "exact copy",
    }
