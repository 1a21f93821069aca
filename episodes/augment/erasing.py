"""Augmentations that hide a part of the image."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from episodes.augment.random_parameters import (
    Share,
    Within,
    check_images,
    chosen,
    fitting_box,
    integers,
    pixels_in,
    uniform,
)


def blacken_border(
    images: Tensor, generator: torch.Generator, fraction: Annotated[float, Within(0, 0.5)] = 0.2
) -> Tensor:
    """Blacken up to a fraction of each image at both ends of each axis; each axis draws its own width."""
    check_images(images)
    h, w = images.shape[-2:]
    high = integers(images, generator, 0, pixels_in(fraction, h))
    wide = integers(images, generator, 0, pixels_in(fraction, w))
    return images * inside_box(images, high, wide, h - 2 * high, w - 2 * wide)


def cutout(
    images: Tensor,
    generator: torch.Generator,
    size: Annotated[int, Within(1)] | Annotated[float, Within(0, 1)] = 0.25,
    fill: Literal["zero", "mean"] = "zero",
) -> Tensor:
    """Cut a square hole into each image, centred on any pixel, so that it may reach over the edge.

    size: the hole's side, a whole number of pixels or a fraction of the shorter side (16 of 32 in the paper).
    fill: black, or the image's own mean colour.
    Source: DeVries and Taylor 2017.
    """
    check_images(images)
    h, w = images.shape[-2:]
    side = pixels_in(size, min(h, w)) if isinstance(size, float) else size
    top = integers(images, generator, 0, h - 1) - side // 2
    left = integers(images, generator, 0, w - 1) - side // 2
    sides = torch.full_like(top, side)
    hole = inside_box(images, top, left, sides, sides)
    return (
        torch.where(hole, images.mean((-2, -1), keepdim=True), images)
        if fill == "mean"
        else images * ~hole
    )


def erase(
    images: Tensor,
    generator: torch.Generator,
    p: Share = 0.5,
    area: Annotated[tuple[float, float], Within(0.001, 1)] = (0.02, 0.33),
    ratio: Annotated[tuple[float, float], Within(0.1, 10)] = (0.3, 3.3),
    fill: Literal["zero", "noise"] = "zero",
) -> Tensor:
    """Erase a random box, wholly inside, of each image with probability p.

    area: the box's share of the image; ratio: its width over its height.
    fill: black, or a uniform random number for each value.
    Source: Zhong et al. 2017.
    """
    check_images(images)
    h, w = images.shape[-2:]
    taken = chosen(images, generator, p)
    height, width = (
        side.round().clamp(min=1) for side in fitting_box(images, generator, area, ratio)
    )
    top = (uniform(images, generator) * (h + 1 - height)).floor()
    left = (uniform(images, generator) * (w + 1 - width)).floor()
    hole = inside_box(images, top, left, height, width) & taken
    if fill == "zero":
        return images * ~hole
    filling = torch.rand(
        images.shape, generator=generator, device=images.device, dtype=images.dtype
    )
    return torch.where(hole, filling, images)


def inside_box(images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Which pixels lie in each image's box, bool [n, 1, h, w]; boxes in pixels, [n], clipped at the edge."""
    rows = torch.arange(images.shape[-2], device=images.device)
    columns = torch.arange(images.shape[-1], device=images.device)
    in_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    in_columns = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    return in_rows[:, None, :, None] & in_columns[:, None, None, :]
