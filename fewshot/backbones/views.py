"""Test-time views of images: parts of them, neighbours by one pixel, and turned or zoomed ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.augment.warping import transformed
from fewshot.config import Views

N_VIEWS: dict[Views, int] = {
    "none": 1,
    "flip": 2,
    "flip-crop": 4,
    "flip-shift": 6,
    "flip-crops": 12,
    "turn-zoom": 9,
}
TURNS = (0.0, -10.0, 10.0)  # degrees
ZOOMS = (1.0, 0.85, 1.15)
CROP_SHARE = 0.875  # the side of a crop among the views, as a share of the side of the image


def groups(images: Tensor, views: Views) -> list[list[Tensor]]:
    """Return the views of images [n, c, h, w] before mirroring, in groups.

    The features of an image are the mean over the groups of the mean within each group. All views
    of a group have one size or are resized to one.

    Args:
        images: float [n, c, h, w].
        views: `flip-crop` adds the middle of the images, `flip-crops` also their four corners
            (ten-crop testing of Krizhevsky et al., NeurIPS 2012, with the whole image), and
            `flip-shift` adds a group of the images moved by one pixel along a diagonal each way
            (Jordan, arXiv 2404.00498, section 3.5). `turn-zoom` adds the images turned and zoomed,
            with black in the corners. Any other value adds nothing.
    """
    if views == "turn-zoom":
        return [turned_and_zoomed(images)]
    first = [images]
    if views in ("flip-crop", "flip-crops"):
        first.append(middle(images, CROP_SHARE))
    if views == "flip-crops":
        first += corners(images, CROP_SHARE)
    if views != "flip-shift":
        return [first]
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    return [first, [padded[..., :-2, :-2], padded[..., 2:, 2:]]]


def image_side(input_size: int, crop: float, views: Views) -> int:
    """Return the side in pixels that images need so that no part of them is enlarged.

    Args:
        input_size: side to which every view is resized.
        crop: the middle share of the side that is seen.
        views: the views, of which some show a part of what is seen.
    """
    share = 1.0
    if views in ("flip-crop", "flip-crops"):
        share = CROP_SHARE
    elif views == "turn-zoom":
        share = min(ZOOMS)
    return math.ceil(round(input_size / (crop * share), 6))


def mirrored(views: Views) -> bool:
    """Return whether the mirror image of each view is a view as well."""
    return views not in ("none", "turn-zoom")


def turned_and_zoomed(images: Tensor) -> list[Tensor]:
    """Return images [n, c, h, w] at all of TURNS and ZOOMS; the images themselves come first."""
    result = []
    for degrees in TURNS:
        radians = torch.deg2rad(torch.tensor(degrees, device=images.device))
        cosine, sine = radians.cos(), radians.sin()
        turn = torch.stack([cosine, -sine, sine, cosine]).view(2, 2)
        result += [_mapped(images, zoom * turn) for zoom in ZOOMS]
    return [images, *result[1:]]


def _mapped(images: Tensor, matrix: Tensor) -> Tensor:
    n = images.shape[0]  # unlike len, it can be exported
    return transformed(images, matrix.expand(n, 2, 2), torch.zeros(n, 2, device=images.device))


def middle(images: Tensor, share: float) -> Tensor:
    """Return the middle of images [n, c, h, w], a share of each side rounded to whole pixels."""
    height, width = _crop_size(images, share)
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    return images[..., top : top + height, left : left + width]


def corners(images: Tensor, share: float) -> list[Tensor]:
    """Return the four corners of images [n, c, h, w], a share of each side in whole pixels."""
    height, width = _crop_size(images, share)
    upper, lower = images[..., :height, :], images[..., -height:, :]
    return [
        upper[..., :width],
        upper[..., -width:],
        lower[..., :width],
        lower[..., -width:],
    ]


def _crop_size(images: Tensor, share: float) -> tuple[int, int]:
    height, width = images.shape[-2:]
    return max(1, round(share * height)), max(1, round(share * width))
