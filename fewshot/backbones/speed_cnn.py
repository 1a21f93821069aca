"""`speed-cnn`: a wide, shallow network for small images that learns in a few epochs.

Source: Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv 2404.00498, sections 3.1 to
3.3 and 3.6.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewshot.backbones.networks import Stages
from fewshot.config import Count

CHUNK = 500  # images whose patches are in memory at once
PATCH = 2  # side of a whitened patch in pixels
NO_VARIANCE = 1e-8  # a share of the greatest variance; the least of CIFAR-10 is 1e-5
LOGIT_SCALE = 1 / 9  # of the features, so that the first logits of a linear head are small


class Whitening(nn.Module):
    """Project 2x2 patches on their principal components, scaled to variance one, and the negatives.

    Images [n, 3, h, w] become [n, 24, h - 1, w - 1]. The filters are a buffer: `fit` computes them
    once from training images, and they are never trained. Before that they select the pixels of the
    patch. The bias is trained.
    """

    weight: Tensor

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        n = channels * PATCH * PATCH
        pixels = torch.eye(n).view(n, channels, PATCH, PATCH)
        self.register_buffer("weight", torch.cat([pixels, -pixels]))
        self.bias = nn.Parameter(torch.zeros(2 * n))

    @torch.no_grad()
    def fit(self, images: Tensor, eps: float = 5e-4) -> None:
        """Compute the filters from normalised images.

        Grey images have no variance in 8 of the 12 directions. Such a filter would have a constant
        output, and the gradient of the batch norm behind it would overflow, so each of these
        directions is replaced by one that has variance.

        Args:
            images: float [n, 3, h, w], normalised.
            eps: added to the variances, so that noise is not amplified.
        """
        n = self.weight[0].numel()
        count = 0
        total = torch.zeros(n, dtype=torch.float64, device=images.device)
        products = torch.zeros(n, n, dtype=torch.float64, device=images.device)
        for chunk in images.split(CHUNK):
            patches = F.unfold(chunk, PATCH).transpose(1, 2).reshape(-1, n).double()
            count += len(patches)
            total = total + patches.sum(0)
            products = products + patches.T @ patches
        mean = total / count
        variances, directions = torch.linalg.eigh(products / count - mean.outer(mean))
        varied = (variances > NO_VARIANCE * variances.max()).nonzero().squeeze(1)
        if 0 < len(varied) < n:
            chosen = torch.arange(n, device=images.device)
            constant = chosen[: n - len(varied)]  # variances rise
            chosen[: len(constant)] = varied[constant % len(varied)]
            variances, directions = variances[chosen], directions[:, chosen]
        filters = (directions / (variances + eps).sqrt()).T.reshape(n, *self.weight.shape[1:])
        self.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, images: Tensor) -> Tensor:
        return F.conv2d(images, self.weight, self.bias)


class BiasNorm(nn.BatchNorm2d):
    """Batch norm with a trained bias, no trained scale and a higher momentum than torch's."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=0.4)
        del self.weight
        self.register_buffer("weight", torch.ones(channels), persistent=False)


def _convolution(c_in: int, c_out: int) -> nn.Conv2d:
    """Return a 3x3 convolution whose first `c_in` filters start as the identity.

    Source: Zagoruyko and Komodakis, arXiv 1706.00388.
    """
    convolution = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight[: min(c_in, c_out)])
    return convolution


class Block(nn.Module):
    """A convolution before a max pool, then `depth - 1` convolutions of the same width.

    With a depth of three, a shortcut spans the last two convolutions.
    """

    def __init__(self, c_in: int, c_out: int, depth: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            _convolution(c_in, c_out), nn.MaxPool2d(2), BiasNorm(c_out), nn.GELU()
        )
        rest: list[nn.Module] = [_convolution(c_out, c_out), BiasNorm(c_out)]
        for _ in range(depth - 2):
            rest += [nn.GELU(), _convolution(c_out, c_out), BiasNorm(c_out)]
        self.rest = nn.Sequential(*rest)
        self.shortcut = depth > 2

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        rest = self.rest(first)
        return F.gelu(rest + first if self.shortcut else rest)


class SpeedCnn(Stages):
    """Stages, then the maximum over the remaining grid, scaled."""

    @property
    def uses_initial_images(self) -> bool:
        return True

    def initialise(self, images: Tensor) -> None:
        """Compute the whitening filters from normalised training images [n, 3, h, w]."""
        first_stage = self.stages[0]
        assert isinstance(first_stage, nn.Sequential)
        whitening = first_stage[0]
        assert isinstance(whitening, Whitening)
        whitening.fit(images)

    def _features(self, images: Tensor) -> Tensor:
        return images.amax((2, 3)) * LOGIT_SCALE


def speed_cnn(
    input_size: int, widths: tuple[Count, Count, Count] = (64, 256, 256), depth: Literal[2, 3] = 2
) -> Stages:
    """airbench's network: whitened 2x2 patches, then three blocks of 3x3 convolutions with GELU.

    The first convolution of each block stands before a max pool. Widths 64, 256, 256 with depth 2
    are airbench94's; 128, 384, 512 with depth 3 are airbench96's.
    """
    widths_in_order = (2 * 3 * PATCH * PATCH, *widths)
    blocks = [Block(c_in, c_out, depth) for c_in, c_out in itertools.pairwise(widths_in_order)]
    stages = [nn.Sequential(Whitening(), nn.GELU(), blocks[0]), *blocks[1:]]
    return SpeedCnn(stages, widths[-1], pool=False)
