"""Scikit-learn's handwritten digits: real, tiny, and installed with the dependencies."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch.nn.functional import interpolate

from episodes.datasets.source import held_out
from episodes.types import ImageSet, TrainTest

TEST_PER_CLASS = 50
GROUPS = {"looped": ("0", "6", "8", "9"), "open": ("1", "2", "3", "4", "5", "7")}


def load_digits(image_size: int = 32) -> TrainTest:
    """1,797 digits of 8x8 pixels, scaled up; 50 of each class are the test part, the same ones always.

    Images uint8 [n, 3, image_size, image_size]; a digit's mirror image is none, so `mirror` is False.
    Superclasses, which are ours: digits whose line closes, and the others.
    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test part).
    """
    from sklearn.datasets import load_digits as from_sklearn

    bunch = from_sklearn()
    grey = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16 * 255  # [n, 1, 8, 8], 0..255
    scaled = interpolate(grey, size=(image_size, image_size), mode="bilinear", align_corners=False)
    images = scaled.round().to(torch.uint8).expand(-1, 3, -1, -1)
    labels = bunch.target.astype(np.int64)
    test = held_out(labels, per_class=TEST_PER_CLASS)
    return TrainTest(_part(images, labels, ~test), _part(images, labels, test))


def _part(images: torch.Tensor, labels: np.ndarray, chosen: np.ndarray) -> ImageSet:
    own = images[torch.from_numpy(chosen)].contiguous()
    digest = hashlib.sha256(own.numpy().tobytes() + labels[chosen].tobytes())
    return ImageSet(
        name="digits",
        images=own,
        labels=torch.from_numpy(labels[chosen]),
        classes=tuple("0123456789"),
        fingerprint=digest.hexdigest()[:32],
        groups=GROUPS,
        mirror=False,
    )
