"""The networks that the reports built themselves: CNNs, perceptrons and a small vision transformer.

Each builder says what its report leaves open and is assumed. The dense layers of a report's head, and the dropout
before them, are the learner's (`learner.hidden` and `learner.dropout` of `scratch`); ready-made networks are timm's.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fewshot.backbones.networks import Stages
from fewshot.config import Count

Rate = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[Count, ...], Field(min_length=1)]


def _pair(c_in: int, c_out: int, norm: bool = False) -> nn.Sequential:
    """Two 3x3 convolutions with ReLU, a batch norm behind each where `norm`, and a max pool."""
    layers: list[nn.Module] = []
    for channels in (c_in, c_out):
        layers += [nn.Conv2d(channels, c_out, 3, padding=1), nn.ReLU()]
        layers += [nn.BatchNorm2d(c_out)] if norm else []
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def baseline_cnn(input_size: int, width: Count = 32) -> Stages:
    """K1: two pairs of 3x3 convolutions with ReLU, a max pool after each pair, flattened.

    49,130 parameters with a linear 10-way head at 32x32; `width` is the number of hidden units (K4 uses 10).
    Source: study kshot, rows K1 and K4.
    """
    return Stages(
        [_pair(3, width), _pair(width, width)], width * (input_size // 4) ** 2, pool=False
    )


def enhanced_cnn(input_size: int, width: Count = 64) -> Stages:
    """K2: three pairs of convolution, ReLU, batch norm, a max pool after each pair, global average pool.

    1,149,770 parameters with a linear 10-way head. Source: study kshot, row K2.
    """
    widths = [3, width, 2 * width, 4 * width]
    return Stages(
        [_pair(a, b, norm=True) for a, b in itertools.pairwise(widths)], 4 * width, pool=True
    )


def vgg(input_size: int, width: Count = 32) -> Stages:
    """H1: three VGG blocks, each two 3x3 convolutions with ReLU and a max pool, flattened.

    420,554 parameters with the report's head of 64, 32 and 10 at 32x32. The report says "3 VGG blocks" and no more, so
    assumed: two convolutions a block (Simonyan and Zisserman, arXiv 1409.1556, the first blocks of table 1), `width`,
    2 and 4 times `width` filters, padding 1, no batch norm, flattening, filters that keep the variance (He et al.,
    arXiv 1502.01852; torch's own lose it in six layers and learn nothing for epochs). Source: study hyperparameters,
    row H1.
    """
    widths = [3, width, 2 * width, 4 * width]
    blocks = [_pair(a, b) for a, b in itertools.pairwise(widths)]
    for part in itertools.chain.from_iterable(blocks):
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
    return Stages(blocks, 4 * width * (input_size // 8) ** 2, pool=False)


def custom_cnn(input_size: int, width: Count = 32) -> Stages:
    """E4: three blocks of 3x3 convolution, batch norm, ReLU and max pool, flattened.

    The slides say "three convolutional blocks and the classifier layers" and no more, so assumed: what is in a block,
    and `width`, 2 and 4 times `width` filters. Source: study experts, row E4.
    """
    blocks = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))
        for a, b in itertools.pairwise([3, width, 2 * width, 4 * width])
    ]
    return Stages(blocks, 4 * width * (input_size // 8) ** 2, pool=False)


def dropout_cnn(
    input_size: int, dropout: Rate = 0.5, pools: Literal["once", "each"] = "once"
) -> Stages:
    """A3: three 3x3 convolutions of 32, 64 and 128 filters with ReLU, max pooling and 2-d dropout, flattened.

    16,891,906 parameters with the report's head of 512, 40 and 10 at 32x32. The report has "3 convolutional layers
    followed by a max pooling layer and 2-dimensional dropout": read as one pooling behind all three; `pools: each` is
    the other reading, pooling and dropout behind each. Assumed: 3x3, padding 1. Source: study architectures, row A3.
    """
    stages = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU())
        for a, b in ((3, 32), (32, 64), (64, 128))
    ]
    pooled = stages if pools == "each" else stages[-1:]
    for stage in pooled:
        stage.extend([nn.MaxPool2d(2), nn.Dropout2d(dropout)])
    return Stages(stages, 128 * (input_size // 2 ** len(pooled)) ** 2, pool=False)


def mlp(input_size: int, widths: Widths = (1500, 500, 100)) -> Stages:
    """A1 and A2: a perceptron on the flattened image, ReLU after each layer; the last hidden layer is the features.

    The images are not normalised: the report has them "scaled to [0, 1] range". The small one has widths 1500, 500
    and 100, the large one 2048, 1024, ... 16. Source: study architectures, rows A1 and A2.
    """
    inner = itertools.pairwise([3 * input_size**2, *widths])
    layers = [nn.Sequential(nn.Flatten(), nn.Linear(a, b), nn.ReLU()) for a, b in inner]
    return Stages(layers, widths[-1], pool=False, statistics=((0.0,) * 3, (1.0,) * 3))


class Patches(nn.Module):
    """Images [n, 3, h, w] -> tokens [n, 1 + patches, width]: a class token and the patches, all with their place."""

    def __init__(self, input_size: int, side: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, side, side)
        self.token = nn.Parameter(0.02 * torch.randn(width))
        self.places = nn.Parameter(0.02 * torch.randn(1 + (input_size // side) ** 2, width))

    def forward(self, images: Tensor) -> Tensor:
        patches = self.embed(images).flatten(2).mT
        token = self.token.to(patches.dtype).expand(len(images), 1, -1)
        return torch.cat([token, patches], 1) + self.places


class First(nn.Module):
    """The first of the tokens: [n, tokens, width] -> [n, width]."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0]


def vit(input_size: int, heads: Literal[5, 6] = 5) -> Stages:
    """A5: a vision transformer of 6 encoder layers, width 30, on patches of 4x4 pixels.

    70,960 parameters with a linear 10-way head at 32x32. Assumed, for the report says no more (as Dosovitskiy et al.,
    arXiv 2010.11929, unless told otherwise): the heads, whose number must divide 30; a class token, which is the
    features; learned places; norms before attention and before the dense layers of 120; GELU; no dropout.
    Source: study architectures, row A5.
    """
    width = 30
    layers: list[nn.Module] = [
        nn.TransformerEncoderLayer(
            width,
            heads,
            4 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        for _ in range(6)
    ]
    last = nn.Sequential(layers[-1], nn.LayerNorm(width), First())
    return Stages([Patches(input_size, 4, width), *layers[:-1], last], width, pool=False)
