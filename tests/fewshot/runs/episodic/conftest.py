"""A folder of images whose classes are colours with noise, and requests that take a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fewshot.runs.episodic.quick import N_CLASSES, N_TEST, N_TRAIN


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "colours"
    random = np.random.default_rng(0)
    centres = random.integers(40, 215, (N_CLASSES, 3))
    for part, count in (("train", N_TRAIN), ("test", N_TEST)):
        for label in range(N_CLASSES):
            place = folder / part / f"class-{label}"
            place.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(centres[label] + random.normal(0, 60, (8, 8, 3)), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")
    return folder
