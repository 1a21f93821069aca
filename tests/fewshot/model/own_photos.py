"""Folders of pictures of a few colours, a model that is fitted to them, and broken files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from episodes.types import Decoding
from fewshot.config import BackboneSettings, FitConfig
from fewshot.model import file_format, inputs
from fewshot.model.classifier import ImageClassifier
from fewshot.model.fit import fit_data

COLOURS = {
    "red": (200, 40, 40),
    "green": (40, 180, 40),
    "blue": (40, 40, 200),
    "white": (230, 230, 230),
}
NETWORK = BackboneSettings(name="conv4", options={"width": 8})


def write(folder: Path, counts: Mapping[str, int], first: int = 0) -> Path:
    """Write so many noisy pictures of each colour as COLOUR/NUMBER.png, from a number on."""
    for name, n in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + n):
            random = np.random.default_rng([number, *COLOURS[name]])
            noise = random.normal(0, 30, (40, 32, 3))
            pixels = (np.array(COLOURS[name]) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def write_copies(folder: Path) -> Path:
    """Save the pictures of class folders again as JPEG files, beside them."""
    for path in sorted(folder.rglob("*.png")):
        for quality in (95, 90):
            copy = path.with_name(f"{path.stem}-{quality}.jpg")
            Image.open(path).save(copy, quality=quality, subsampling=0)
    return folder


def fitted(folder: Path) -> ImageClassifier:
    """Return a probe of random features, fitted to the pictures of a folder."""
    torch.manual_seed(0)  # of the weights of the network
    return fit_data(str(folder), FitConfig(method="probe", backbone=NETWORK), "cpu")


def model(folder: Path, file: Path) -> Path:
    """Write the model file of a probe that is fitted to the pictures of a folder."""
    file_format.save(fitted(folder), file)
    return file


def write_broken(folder: Path, n: int) -> list[str]:
    """Write files that cannot be read, of several kinds, and return their names, sorted."""
    whole = folder / "whole.png"
    Image.effect_noise((64, 64), 80).convert("RGB").save(whole)
    content = whole.read_bytes()
    whole.unlink()
    contents = (content[: len(content) // 2], b"", b"<html>not here</html>", b"\xff\xd8\xff" * 9)
    names = [f"broken-{number:02}.jpg" for number in range(n)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(contents[number % len(contents)])
    return names


def pixels_of(images: Any, decoding: Decoding) -> Tensor:
    """Return the pixels of images in one of the forms of `inputs.images_of`."""
    chunks = list(inputs.pixel_chunks(inputs.images_of(images), decoding))
    side = decoding.size
    return torch.cat(chunks) if chunks else torch.empty(0, 3, side, side, dtype=torch.uint8)
