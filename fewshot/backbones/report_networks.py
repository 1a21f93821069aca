"""The networks that the four reports built themselves: CNNs, perceptrons and a vision transformer.

Each builder says what its report does not state and is assumed here. The dense layers of a report's
head and the dropout before them belong to the learner (`learner.hidden` and `learner.dropout` of
`scratch`). The ready-made networks of the reports are timm's.

Where a report has a ReLU and then a max pool, the max pool comes first here: the numbers are the
same, to the last bit, and the ReLU computes a quarter as many.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from fewshot.backbones.networks import Stages
from fewshot.config import Count

Rate = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[Count, ...], Field(min_length=1)]


def _convolution_pair(c_in: int, c_out: int, batch_norm: bool = False) -> nn.Sequential:
    """Return two 3x3 convolutions with ReLU, each followed by an optional norm, and a max pool."""
    first, second = (nn.Conv2d(channels, c_out, 3, padding=1) for channels in (c_in, c_out))
    if not batch_norm:
        return nn.Sequential(first, nn.ReLU(), second, nn.MaxPool2d(2), nn.ReLU())
    norms = [nn.BatchNorm2d(c_out) for _ in range(2)]
    return nn.Sequential(first, nn.ReLU(), norms[0], second, nn.ReLU(), norms[1], nn.MaxPool2d(2))


def baseline_cnn(input_size: int, width: Count = 32) -> Stages:
    """Row K1: two pairs of 3x3 convolutions with ReLU, a max pool after each pair, flattened.

    It has 49,130 parameters with a linear 10-way head at 32x32. `width` is the number of filters,
    of which K4 uses 10. Source: study kshot, rows K1 and K4.
    """
    pairs = [_convolution_pair(3, width), _convolution_pair(width, width)]
    return Stages(pairs, width * (input_size // 4) ** 2, pool=False)


def enhanced_cnn(input_size: int, width: Count = 64) -> Stages:
    """Row K2: three pairs of convolution, ReLU and batch norm, max pools, a global average pool.

    It has 1,149,770 parameters with a linear 10-way head. Source: study kshot, row K2.
    """
    widths = [3, width, 2 * width, 4 * width]
    pairs = [
        _convolution_pair(c_in, c_out, batch_norm=True)
        for c_in, c_out in itertools.pairwise(widths)
    ]
    return Stages(pairs, 4 * width, pool=True)


def vgg(input_size: int, width: Count = 32) -> Stages:
    """Row H1: three VGG blocks, each two 3x3 convolutions with ReLU and a max pool, flattened.

    It has 420,554 parameters with the report's head of 64, 32 and 10 units at 32x32. The report
    says only "3 VGG blocks". Assumed: two convolutions a block (Simonyan and Zisserman, arXiv
    1409.1556, the first blocks of table 1); `width`, 2 and 4 times `width` filters; padding 1; no
    batch norm; flattening; and initial weights that preserve the variance (He et al., arXiv
    1502.01852). With torch's own initialisation the variance vanishes within six layers, and the
    network learns nothing for epochs. Source: study hyperparameters, row H1.
    """
    widths = [3, width, 2 * width, 4 * width]
    blocks = [_convolution_pair(c_in, c_out) for c_in, c_out in itertools.pairwise(widths)]
    for layer in itertools.chain.from_iterable(blocks):
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return Stages(blocks, 4 * width * (input_size // 8) ** 2, pool=False)


def custom_cnn(input_size: int, width: Count = 32) -> Stages:
    """Row E4: three blocks of 3x3 convolution, batch norm, ReLU and max pool, flattened.

    The slides say only "three convolutional blocks and the classifier layers". Assumed: the layers
    of a block, and `width`, 2 and 4 times `width` filters. Source: study experts, row E4.
    """
    widths = [3, width, 2 * width, 4 * width]
    blocks = [
        nn.Sequential(
            nn.Conv2d(c_in, c_out, 3, padding=1),
            nn.BatchNorm2d(c_out),
            nn.MaxPool2d(2),
            nn.ReLU(),
        )
        for c_in, c_out in itertools.pairwise(widths)
    ]
    return Stages(blocks, 4 * width * (input_size // 8) ** 2, pool=False)


def dropout_cnn(
    input_size: int, dropout: Rate = 0.5, pools: Literal["once", "each"] = "once"
) -> Stages:
    """Row A3: 3x3 convolutions of 32, 64 and 128 filters, max pooling and 2-d dropout, flattened.

    It has 16,891,906 parameters with the report's head of 512, 40 and 10 units at 32x32. The report
    has "3 convolutional layers followed by a max pooling layer and 2-dimensional dropout". By
    default this is read as one pooling and dropout after the last convolution; `pools: each` is the
    other reading, with both after every convolution. Assumed: ReLU, 3x3 filters, padding 1.
    Source: study architectures, row A3.
    """
    stages = []
    for c_in, c_out in ((3, 32), (32, 64), (64, 128)):
        stage = nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1))
        pooled = pools == "each" or c_out == 128
        stage.extend([nn.MaxPool2d(2), nn.ReLU(), nn.Dropout2d(dropout)] if pooled else [nn.ReLU()])
        stages.append(stage)
    n_pools = 3 if pools == "each" else 1
    return Stages(stages, 128 * (input_size // 2**n_pools) ** 2, pool=False)


def mlp(input_size: int, widths: Widths = (1500, 500, 100)) -> Stages:
    """Rows A1 and A2: a perceptron on the flattened image, with ReLU after each layer.

    The features are the last hidden layer. The images are not normalised, because the report has
    them "scaled to [0, 1] range". The small perceptron (A1) has the widths 1500, 500 and 100, the
    large one (A2) 2048, 1024, ... 16. Source: study architectures, rows A1 and A2.
    """
    layers = [
        nn.Sequential(nn.Flatten(), nn.Linear(n_in, n_out), nn.ReLU())
        for n_in, n_out in itertools.pairwise([3 * input_size**2, *widths])
    ]
    unchanged = ((0.0,) * 3, (1.0,) * 3)
    return Stages(layers, widths[-1], pool=False, statistics=unchanged)


class Patches(nn.Module):
    """Images [n, 3, h, w] -> tokens [n, 1 + patches, width]: a class token and the patches.

    A learned vector for its position is added to every token.
    """

    def __init__(self, input_size: int, side: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, side, side)
        self.token = nn.Parameter(0.02 * torch.randn(width))
        self.places = nn.Parameter(0.02 * torch.randn(1 + (input_size // side) ** 2, width))

    def forward(self, images: Tensor) -> Tensor:
        patches = self.embed(images).flatten(2).mT
        token = self.token.to(patches.dtype).expand(images.shape[0], 1, -1)
        return torch.cat([token, patches], 1) + self.places


class Encoder(nn.Module):
    """A layer of a transformer's encoder: tokens [n, tokens, width] -> the same, or the first.

    Its weights have the same names and shapes as in `nn.TransformerEncoderLayer` with norms first
    and GELU. Its products are laid out for narrow heads, which makes it faster on a CPU.

    Args:
        width: the width of a token, which the heads share.
        heads: the number of heads.
        only_first: whether to compute the output of the first token alone.
    """

    def __init__(self, width: int, heads: int, only_first: bool = False) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.linear1 = nn.Linear(width, 4 * width)
        self.linear2 = nn.Linear(4 * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.n_outputs = 1 if only_first else None

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens[:, : self.n_outputs] + self._attention(self.norm1(tokens))
        return tokens + self.linear2(F.gelu(self.linear1(self.norm2(tokens))))

    def _attention(self, tokens: Tensor) -> Tensor:
        n, n_tokens, width = tokens.shape
        layer, heads = self.self_attn, self.self_attn.num_heads
        channels = width // heads
        projected = F.linear(tokens, layer.in_proj_weight, layer.in_proj_bias)
        by_head = projected.view(n, n_tokens, 3, heads, channels).permute(2, 0, 3, 4, 1)
        queries, keys, values = by_head.reshape(3, n * heads, channels, n_tokens)
        scores = torch.bmm((keys * channels**-0.5).mT, queries[..., : self.n_outputs])
        mixed = torch.bmm(values, scores.softmax(1))  # [n * heads, channels, outputs]
        by_token = mixed.view(n, width, mixed.shape[2]).mT
        return layer.out_proj(by_token)


class First(nn.Module):
    """The first of the tokens: [n, tokens, width] -> [n, width]."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0]


def vit(input_size: int, heads: Literal[5, 6] = 5) -> Stages:
    """Row A5: a vision transformer of 6 encoder layers, width 30, on patches of 4x4 pixels.

    It has 70,960 parameters with a linear 10-way head at 32x32. The report states no more. Assumed,
    after Dosovitskiy et al. (arXiv 2010.11929): a class token, whose output is the features;
    learned positions; norms before attention and before the dense layers of 120 units; GELU. Also
    assumed: the number of heads, which must divide 30, and no dropout.
    Source: study architectures, row A5.
    """
    width = 30
    layers: list[nn.Module] = [Encoder(width, heads) for _ in range(5)]
    last = nn.Sequential(Encoder(width, heads, only_first=True), nn.LayerNorm(width), First())
    return Stages([Patches(input_size, 4, width), *layers, last], width, pool=False)
