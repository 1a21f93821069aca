"""Augmentations that hide a part of the image."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from episodes.augment.random_parameters import (
    Share,
    Within,
    check_images,
    integers,
    random_box,
    random_mask,
    uniform,
    whole_pixels,
)


def blacken_border(
    images: Tensor, generator: torch.Generator, fraction: Annotated[float, Within(0, 0.5)] = 0.2
) -> Tensor:
    """Blacken a border of each image, up to `fraction` of its size on each side.

    The upper and lower borders have one random height; the left and right ones one random width.
    """
    check_images(images)
    h, w = images.shape[-2:]
    border_height = integers(images, generator, 0, whole_pixels(fraction, h))
    border_width = integers(images, generator, 0, whole_pixels(fraction, w))
    return images * inside_box(
        images, border_height, border_width, h - 2 * border_height, w - 2 * border_width
    )


def cutout(
    images: Tensor,
    generator: torch.Generator,
    size: Annotated[int, Within(1)] | Annotated[float, Within(0, 1)] = 0.25,
    fill: Literal["zero", "mean"] = "zero",
) -> Tensor:
    """Hide a square of each image; its centre can be any pixel, so it may extend beyond the edge.

    Args:
        images: float [n, c, h, w] in [0, 1].
        generator: source of the random positions.
        size: side of the square, in pixels (int) or as a fraction of the shorter side (float);
            the paper uses 16 of 32 pixels.
        fill: what replaces the square: black, or the mean colour of the image.

    Source:
        DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout,
        2017.
    """
    check_images(images)
    h, w = images.shape[-2:]
    side = whole_pixels(size, min(h, w)) if isinstance(size, float) else size
    top = integers(images, generator, 0, h - 1) - side // 2
    left = integers(images, generator, 0, w - 1) - side // 2
    sides = torch.full_like(top, side)
    hole = inside_box(images, top, left, sides, sides)
    if fill == "mean":
        return torch.where(hole, images.mean((-2, -1), keepdim=True), images)
    return images * ~hole


def erase(
    images: Tensor,
    generator: torch.Generator,
    p: Share = 0.5,
    area: Annotated[tuple[float, float], Within(0.001, 1)] = (0.02, 0.33),
    ratio: Annotated[tuple[float, float], Within(0.1, 10)] = (0.3, 3.3),
    fill: Literal["zero", "noise"] = "zero",
) -> Tensor:
    """Erase a random box, which lies wholly inside, of each image with probability p.

    Args:
        images: float [n, c, h, w] in [0, 1].
        generator: source of the random boxes.
        p: probability that an image is changed.
        area: range of the box's share of the image's area.
        ratio: range of the box's width divided by its height.
        fill: what replaces the box: black, or a uniform random number for every value.

    Source:
        Zhong et al., Random Erasing Data Augmentation, 2017.
    """
    check_images(images)
    h, w = images.shape[-2:]
    is_changed = random_mask(images, generator, p)
    height, width = random_box(images, generator, area, ratio)
    height, width = height.round().clamp(min=1), width.round().clamp(min=1)
    top = (uniform(images, generator) * (h + 1 - height)).floor()
    left = (uniform(images, generator) * (w + 1 - width)).floor()
    hole = inside_box(images, top, left, height, width) & is_changed
    if fill == "zero":
        return images * ~hole
    noise = torch.rand(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return torch.where(hole, noise, images)


def inside_box(images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Return which pixels lie inside the box of each image.

    Args:
        images: [n, c, h, w], for size and device.
        top, left, height, width: the boxes in pixels, [n]; parts beyond the edge are ignored.

    Returns:
        bool [n, 1, h, w].
    """
    rows = torch.arange(images.shape[-2], device=images.device)
    columns = torch.arange(images.shape[-1], device=images.device)
    in_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    in_columns = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    return in_rows[:, None, :, None] & in_columns[:, None, None, :]
