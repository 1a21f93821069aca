"""Augmentations that imitate poor sources: JPEG artefacts and blur."""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.augment.random_parameters import Within, check_images, uniform

# Tables K.1 and K.2 of the JPEG standard (ITU-T T.81): luminance, chrominance.
# fmt: off
TABLES = (
    (
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
        14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
        18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
        49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    ),
    (
        17, 18, 24, 47, *[99] * 4, 18, 21, 26, 66, *[99] * 4,
        24, 26, 56, *[99] * 5, 47, 66, *[99] * 6,
        *[99] * 32,
    ),
)
# fmt: on


def jpeg(
    images: Tensor,
    generator: torch.Generator,
    quality: Annotated[tuple[float, float], Within(1, 100)] = (30.0, 95.0),
) -> Tensor:
    """Give each image the artefacts of JPEG at a quality drawn from the range, colours at half the resolution.

    quality: as Pillow and libjpeg count it. Of images of other than three channels each is taken as grey.
    """
    check_images(images)
    return compressed(images, uniform(images, generator, *quality))


def blur(
    images: Tensor,
    generator: torch.Generator,
    sigma: Annotated[tuple[float, float], Within(0)] = (0.1, 1.5),
) -> Tensor:
    """Blur each image by a Gaussian; its standard deviation in pixels is drawn from the range."""
    check_images(images)
    return blurred(images, uniform(images, generator, *sigma))


def compressed(images: Tensor, qualities: Tensor) -> Tensor:
    """Images [n, c, h, w] after JPEG at qualities [n]; with three channels YCbCr 4:2:0, as JFIF has it.

    Samples are rounded to whole levels where they are coded and read; the result is not.
    """
    h, w = images.shape[-2:]
    levels = images * 255
    if images.shape[1] != 3:
        return (_coded(levels - 128, qualities, TABLES[0]) + 128).div_(255).clamp_(0, 1)
    red, green, blue = levels.split(1, dim=1)
    luma = _coded(
        (0.299 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114).sub_(128),
        qualities,
        TABLES[0],
    )
    pairs = F.pad(
        levels, (0, -w % 16, 0, h % 2), mode="replicate"
    )  # as libjpeg: columns of pixels, rows of chroma
    red, green, blue = F.avg_pool2d(pairs, 2).split(
        1, dim=1
    )  # a mean of colours has the mean chroma
    luma_there = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = torch.cat([(blue - luma_there) / 1.772, (red - luma_there) / 1.402], dim=1)
    # Decoders do not look beyond the image's edge when they enlarge the chroma, so the padding goes first.
    chroma = _coded(chroma, qualities, TABLES[1])[..., : (w + 1) // 2]
    chroma = F.interpolate(
        chroma, scale_factor=2.0, mode="bilinear", align_corners=False
    )  # libjpeg's weights
    luma, blueness, redness = luma + 128, chroma[:, :1, :h, :w], chroma[:, 1:, :h, :w]
    green = luma - (0.114 * 1.772 / 0.587) * blueness - (0.299 * 1.402 / 0.587) * redness
    return (
        torch.cat([luma + 1.402 * redness, green, luma + 1.772 * blueness], dim=1)
        .div_(255)
        .clamp_(0, 1)
    )


def blurred(images: Tensor, sigmas: Tensor) -> Tensor:
    """Images convolved with Gaussians of standard deviations sigmas [n], mirrored at the edges (edge repeated)."""
    h, w = images.shape[-2:]
    down = _smoothing(sigmas, h).to(images.dtype)
    across = down if h == w else _smoothing(sigmas, w).to(images.dtype)
    return (down[:, None] @ images @ across[:, None].mT).clamp_(0, 1)


def _coded(planes: Tensor, qualities: Tensor, table: tuple[int, ...]) -> Tensor:
    """Planes [n, c, h, w] about 0, in levels, through the rounding of their 8 x 8 blocks' coefficients."""
    height, width = planes.shape[-2:]
    padded = F.pad(planes.round(), (0, -width % 8, 0, -height % 8), mode="replicate")
    n, c, h, w = padded.shape
    basis, base = _constants(table, planes.device, planes.dtype)
    scale = torch.where(
        qualities < 50, 5000 / qualities, 200 - 2 * qualities
    ).floor()  # libjpeg's, in per cent
    steps = ((base * scale[:, None].to(base.dtype) + 50) / 100).floor().clamp(1, 255)[:, None]
    blocks = padded.view(n, c, h // 8, 8, w // 8, 8).transpose(3, 4).reshape(n, -1, 64)
    kept = (blocks @ basis).div_(steps).round_().mul_(steps) @ basis.mT
    kept = kept.round_().clamp_(-128, 127)
    return (
        kept.view(n, c, h // 8, w // 8, 8, 8)
        .transpose(3, 4)
        .reshape(n, c, h, w)[..., :height, :width]
    )


@cache
def _constants(
    table: tuple[int, ...], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The orthonormal cosine transform of a flat block, float [64, 64], and the table, [64]."""
    rows = torch.tensor(
        [
            [
                math.cos((2 * x + 1) * u * math.pi / 16) * math.sqrt((1 if u == 0 else 2) / 8)
                for u in range(8)
            ]
            for x in range(8)
        ],
        dtype=torch.float64,
    )
    return torch.kron(rows, rows).to(device, dtype), torch.tensor(table, device=device, dtype=dtype)


def _smoothing(sigmas: Tensor, size: int) -> Tensor:
    """Matrices [n, size, size] that smooth a side; each row adds up to 1."""
    at = torch.arange(size, device=sigmas.device)
    # A pixel's mirror images repeat every two sizes; the nearest of them carry what a Gaussian has to give.
    period = 2 * size * torch.arange(-1, 2, device=sigmas.device)[:, None, None]
    apart = torch.cat([at[:, None] - at + period, at[:, None] + at + 1 + period]).abs()
    reach = torch.arange(4 * size, device=sigmas.device) / sigmas.clamp(min=1e-3)[:, None]
    weights = torch.exp(-0.5 * reach.square())[:, apart].sum(1)
    return weights / weights.sum(-1, keepdim=True)
