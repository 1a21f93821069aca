"""Augmentations that move pixels: flips, shifts, crops and rotations."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.augment.random_parameters import (
    Share,
    Within,
    check_images,
    integers,
    per_image,
    random_box,
    random_mask,
    uniform,
    whole_pixels,
)


def flip(images: Tensor, generator: torch.Generator, p: Share = 0.5) -> Tensor:
    """Mirror each image left to right with probability p."""
    check_images(images)
    return torch.where(random_mask(images, generator, p), images.flip(-1), images)


def alternating_flip(
    images: Tensor, generator: torch.Generator, mirror: Tensor | None = None
) -> Tensor:
    """Mirror each image in every other epoch, starting at random.

    Two epochs then show an image and its mirror image; random flips show the same version twice in
    half of the cases.

    Args:
        images: float [n, c, h, w] in [0, 1].
        generator: source of the random choices, if `mirror` is None.
        mirror: which images to mirror, bool [n], from `streams.batches`. None for episodes and
            pairs, which have no epochs: then this is `flip`.

    Source:
        Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, arXiv 2404.00498.
    """
    check_images(images)
    if mirror is None:
        return flip(images, generator)
    return torch.where(per_image(mirror), images.flip(-1), images)


def translate(
    images: Tensor,
    generator: torch.Generator,
    pixels: Annotated[int, Within(0)] = 4,
    border: Literal["reflect", "zero"] = "reflect",
) -> Tensor:
    """Shift each image by up to `pixels` along each axis: a random crop of the padded image.

    Args:
        images: float [n, c, h, w] in [0, 1].
        generator: source of the random shifts.
        pixels: largest shift.
        border: what fills the uncovered border: the image reflected at its edge pixel, or black.

    Raises:
        ValueError: a reflected shift is not smaller than the image.
    """
    check_images(images)
    h, w = images.shape[-2:]
    if border == "reflect" and pixels >= min(h, w):
        raise ValueError(
            f"a reflected shift of {pixels} pixels needs images larger than that, got {h} x {w}"
        )
    down = integers(images, generator, -pixels, pixels)[:, None]
    right = integers(images, generator, -pixels, pixels)[:, None]
    rows = torch.arange(h, device=images.device) + down
    columns = torch.arange(w, device=images.device) + right
    if border == "reflect":
        return select_pixels(images, reflected(rows, h), reflected(columns, w))
    row_is_inside = (rows >= 0) & (rows < h)
    column_is_inside = (columns >= 0) & (columns < w)
    is_inside = row_is_inside[:, None, :, None] & column_is_inside[:, None, None, :]
    return select_pixels(images, rows.clamp(0, h - 1), columns.clamp(0, w - 1)) * is_inside


def shift_wrap(images: Tensor, generator: torch.Generator, fraction: Share = 0.2) -> Tensor:
    """Shift each image cyclically by up to a fraction of its size along each axis."""
    check_images(images)
    h, w = images.shape[-2:]
    most_down, most_right = whole_pixels(fraction, h), whole_pixels(fraction, w)
    down = integers(images, generator, -most_down, most_down)[:, None]
    right = integers(images, generator, -most_right, most_right)[:, None]
    rows = torch.arange(h, device=images.device) - down
    columns = torch.arange(w, device=images.device) - right
    return select_pixels(images, rows % h, columns % w)


def crop(
    images: Tensor,
    generator: torch.Generator,
    scale: Annotated[tuple[float, float], Within(0.01, 1)] = (0.5, 1.0),
    ratio: Annotated[tuple[float, float], Within(0.1, 10)] = (3 / 4, 4 / 3),
) -> Tensor:
    """Cut a random box out of each image and resize it, bilinearly, to the image's size.

    Args:
        images: float [n, c, h, w] in [0, 1].
        generator: source of the random boxes.
        scale: range of the box's share of the image's area.
        ratio: range of the box's width divided by its height.

    Source:
        Szegedy et al., Going Deeper with Convolutions, 2015.
    """
    check_images(images)
    h, w = images.shape[-2:]
    height, width = random_box(images, generator, scale, ratio)
    top = uniform(images, generator) * (h - height)
    left = uniform(images, generator) * (w - width)
    y = top[:, None] + pixel_centres(h, images) / h * height[:, None]
    x = left[:, None] + pixel_centres(w, images) / w * width[:, None]
    return sample_pixels(images, y[:, :, None], x[:, None, :], outside="border")


def rotate(
    images: Tensor, generator: torch.Generator, degrees: Annotated[float, Within(0, 180)] = 10.0
) -> Tensor:
    """Rotate each image about its centre by up to `degrees` in either direction.

    Pixels are interpolated bilinearly; uncovered corners are black.
    """
    check_images(images)
    return rotated(images, uniform(images, generator, -degrees, degrees))


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate images counter-clockwise by degrees [n]."""
    h, w = images.shape[-2:]
    radians = torch.deg2rad(degrees)
    cosine, sine = torch.cos(radians)[:, None, None], torch.sin(radians)[:, None, None]
    y, x = pixel_centres(h, images)[:, None] - h / 2, pixel_centres(w, images) - w / 2
    from_y = sine * x + cosine * y + h / 2
    from_x = cosine * x - sine * y + w / 2
    return sample_pixels(images, from_y, from_x, outside="zeros")


def pixel_centres(size: int, images: Tensor) -> Tensor:
    """Return the distances of pixel centres from the start of a side, in pixels: float32 [size]."""
    return torch.arange(size, device=images.device) + 0.5


def reflected(positions: Tensor, size: int) -> Tensor:
    """Reflect positions, at most size - 1 outside 0..size-1, at the first and the last pixel."""
    return (size - 1) - ((size - 1) - positions.abs()).abs()


def select_pixels(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels of each image at its rows [n, h] and columns [n, w].

    One gather over flattened pixels is the fastest way to do this.
    """
    n, c, h, w = images.shape
    positions = (rows[:, :, None] * w + columns[:, None, :]).view(n, 1, h * w)
    return images.reshape(n, c, h * w).gather(2, positions.expand(n, c, h * w)).view(n, c, h, w)


def sample_pixels(
    images: Tensor,
    y: Tensor,
    x: Tensor,
    outside: Literal["zeros", "border"],
    interpolation: Literal["bilinear", "nearest"] = "bilinear",
) -> Tensor:
    """Read images at arbitrary positions.

    Args:
        images: float [n, c, h, w] in [0, 1].
        y, x: positions in pixels from the upper left corner, broadcastable to [n, h, w].
        outside: value outside the image: black, or the nearest edge pixel.
        interpolation: how to read between pixel centres.

    Returns:
        float [n, c, h, w] in [0, 1].
    """
    n, _, h, w = images.shape
    grid = torch.stack(
        [(x * (2 / w) - 1).expand(n, h, w), (y * (2 / h) - 1).expand(n, h, w)], dim=-1
    )
    result = F.grid_sample(
        images, grid.to(images.dtype), interpolation, outside, align_corners=False
    )
    # The interpolation weights sum to 1 only up to rounding, so values can slightly exceed 1.
    return result.clamp_(0, 1)
