"""What every augmentation shares: the check of its input, its draws, and the ranges of its parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor


@dataclass(frozen=True)
class Within:
    """The closed range that a parameter, or each of a pair, has to lie in; read by `steps.check`."""

    low: float
    high: float = math.inf


Share = Annotated[float, Within(0, 1)]


def check_images(images: Tensor) -> None:
    """Raise ValueError unless images are float [n, c, h, w]."""
    if images.dim() != 4 or not images.is_floating_point():
        raise ValueError(
            f"images must be float [n, c, h, w], got {images.dtype} {list(images.shape)}"
        )


def uniform(
    images: Tensor, generator: torch.Generator, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """One uniform number per image, [n]; always float32, so that its precision is not that of the images."""
    return low + (high - low) * torch.rand(len(images), generator=generator, device=images.device)


def integers(images: Tensor, generator: torch.Generator, low: int, high: int) -> Tensor:
    """One whole number from low to high, both included, per image: int64 [n]."""
    return torch.randint(low, high + 1, (len(images),), generator=generator, device=images.device)


def chosen(images: Tensor, generator: torch.Generator, p: float) -> Tensor:
    """Whether each image is taken, with probability p: bool [n, 1, 1, 1]."""
    return per_image(uniform(images, generator) < p)


def per_image(values: Tensor) -> Tensor:
    """[n] to [n, 1, 1, 1], to go with images."""
    return values[:, None, None, None]


def pixels_in(fraction: float, size: int) -> int:
    """How many whole pixels a fraction of a side covers at most (0.29 of 100 is 29, whatever binary says)."""
    return int(fraction * size + 1e-6)


def fitting_box(
    images: Tensor,
    generator: torch.Generator,
    area: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """Heights and widths in pixels, float [n] each, of boxes that fit into the image.

    The share of the image's area is uniform, width over height log-uniform. Where the papers draw again until
    the box fits, the ratio is moved to the nearest that fits: the area stays as drawn.
    """
    h, w = images.shape[-2:]
    share = uniform(images, generator, *area)
    aspect = uniform(images, generator, math.log(ratio[0]), math.log(ratio[1])).exp()
    aspect = torch.minimum(torch.maximum(aspect, share * w / h), w / (h * share))
    return (share * h * w / aspect).sqrt().clamp(max=h), (share * h * w * aspect).sqrt().clamp(
        max=w
    )
