"""Scikit-learn's handwritten digits: real, tiny and installed with the dependencies."""

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
    """Load 1,797 digits of 8x8 pixels, resized; always the same 50 of each class are the test set.

    `mirror` is False because a mirrored digit is not a digit. The superclasses are our own: digits
    with a closed loop, and the others.

    Args:
        image_size: side of the images in pixels.

    Returns:
        Images uint8 [n, 3, image_size, image_size], n = 1,297 and 500.

    Source:
        E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test
        set), as in scikit-learn.
    """
    from sklearn.datasets import load_digits as load_from_sklearn

    bunch = load_from_sklearn()
    grey = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16 * 255  # [n, 1, 8, 8], 0..255
    resized = interpolate(grey, size=(image_size, image_size), mode="bilinear", align_corners=False)
    images = resized.round().to(torch.uint8).expand(-1, 3, -1, -1)
    labels = bunch.target.astype(np.int64)
    is_test = held_out(labels, per_class=TEST_PER_CLASS)
    return TrainTest(_part(images, labels, ~is_test), _part(images, labels, is_test))


def _part(images: torch.Tensor, labels: np.ndarray, mask: np.ndarray) -> ImageSet:
    own_images = images[torch.from_numpy(mask)].contiguous()
    own_labels = labels[mask]
    digest = hashlib.sha256(own_images.numpy().tobytes() + own_labels.tobytes())
    return ImageSet(
        name="digits",
        images=own_images,
        labels=torch.from_numpy(own_labels),
        classes=tuple("0123456789"),
        fingerprint=digest.hexdigest()[:32],
        groups=GROUPS,
        mirror=False,
    )
