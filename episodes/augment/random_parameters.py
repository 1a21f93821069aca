"""Shared by all augmentations: input checks, random parameters and their permitted ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor


@dataclass(frozen=True)
class Within:
    """Annotate a parameter, or both numbers of a pair, with its closed range.

    `pipeline.check` reads the annotation.
    """

    low: float
    high: float = math.inf


Share = Annotated[float, Within(0, 1)]


def check_images(images: Tensor) -> None:
    """Raise ValueError unless the images are float [n, c, h, w]."""
    if images.dim() != 4 or not images.is_floating_point():
        raise ValueError(
            f"images must be float [n, c, h, w], got {images.dtype} {list(images.shape)}"
        )


def uniform(
    images: Tensor, generator: torch.Generator, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """Return one uniform random number per image, [n].

    The numbers are float32 whatever the precision of the images.
    """
    return low + (high - low) * torch.rand(len(images), generator=generator, device=images.device)


def integers(images: Tensor, generator: torch.Generator, low: int, high: int) -> Tensor:
    """Return one random integer per image, from low to high inclusive, int64 [n]."""
    return torch.randint(low, high + 1, (len(images),), generator=generator, device=images.device)


def random_mask(images: Tensor, generator: torch.Generator, p: float) -> Tensor:
    """Select each image with probability p: bool [n, 1, 1, 1]."""
    return per_image(uniform(images, generator) < p)


def per_image(values: Tensor) -> Tensor:
    """Reshape [n] to [n, 1, 1, 1], so that it broadcasts over the pixels of images."""
    return values[:, None, None, None]


def whole_pixels(fraction: float, size: int) -> int:
    """Return how many whole pixels fit into a fraction of a side of `size` pixels.

    0.29 of 100 is 29 although the product of the floats is slightly less.
    """
    return int(fraction * size + 1e-6)


def random_box(
    images: Tensor,
    generator: torch.Generator,
    area: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """Choose the size of one box per image that fits into the image.

    The area is uniform; the ratio of width to height is log-uniform. The papers repeat the choice
    until the box fits. Here the ratio is clamped to the nearest one that fits, so the area keeps
    its distribution.

    Args:
        images: float [n, c, h, w].
        generator: source of the random choices.
        area: range of the box's share of the image's area.
        ratio: range of the box's width divided by its height.

    Returns:
        Heights and widths in pixels, float [n] each.
    """
    h, w = images.shape[-2:]
    share = uniform(images, generator, *area)
    aspect = uniform(images, generator, math.log(ratio[0]), math.log(ratio[1])).exp()
    aspect = torch.minimum(torch.maximum(aspect, share * w / h), w / (h * share))
    height = (share * h * w / aspect).sqrt().clamp(max=h)
    width = (share * h * w * aspect).sqrt().clamp(max=w)
    return height, width
