"""speed-cnn: its size, its whitening, and where its parts begin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn
from torch.nn import functional as F

from episodes.rng import seeded
from fewshot import backbones
from fewshot.backbones import speed_cnn
from fewshot.config import BackboneSettings
from fewshot.learners import scratch
from fewshot.learners.base import Task


def build(**more) -> backbones.Backbone:
    with seeded(0, "test"):
        return backbones.build(BackboneSettings(name="speed-cnn", **more)).eval()


def coloured(n: int) -> torch.Tensor:
    """Smooth images whose channels go together, as those of photographs do."""
    noise = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    grey = noise.mean(1, keepdim=True)
    return F.interpolate(0.7 * grey + 0.3 * noise, (32, 32), mode="bilinear").clamp(0, 1)


def test_parameters_of_airbench94_by_hand() -> None:
    learner = scratch.Scratch(build(), Task(10), scratch.Options())
    whitening = 24  # biases; the filters are fixed
    first = 24 * 64 * 9 + 64 * 64 * 9 + 2 * 64
    second = 64 * 256 * 9 + 256 * 256 * 9 + 2 * 256
    third = 256 * 256 * 9 + 256 * 256 * 9 + 2 * 256
    head = 256 * 10 + 10
    assert (
        sum(each.numel() for each in learner.parameters())
        == whitening + first + second + third + head
    )


def test_parameters_of_airbench96_by_hand() -> None:
    backbone = build(options={"widths": [128, 384, 512], "depth": 3})
    first = 24 * 128 * 9 + 2 * 128 * 128 * 9 + 3 * 128
    second = 128 * 384 * 9 + 2 * 384 * 384 * 9 + 3 * 384
    third = 384 * 512 * 9 + 2 * 512 * 512 * 9 + 3 * 512
    assert sum(each.numel() for each in backbone.parameters()) == 24 + first + second + third


def test_a_block_of_three_has_a_shortcut_over_its_last_two() -> None:
    block, images = speed_cnn.Block(4, 6, 3).eval(), torch.rand(2, 4, 8, 8)
    for convolution in (part for part in block.modules() if isinstance(part, nn.Conv2d)):
        nn.init.normal_(convolution.weight)
    for norm in (part for part in block.modules() if isinstance(part, speed_cnn.BiasNorm)):
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)

    def of(
        convolution: nn.Conv2d, norm: speed_cnn.BiasNorm, pool: bool, seen: torch.Tensor
    ) -> torch.Tensor:
        made = F.conv2d(seen, convolution.weight, padding=1)
        made = F.max_pool2d(made, 2) if pool else made
        mean, variance, bias = (
            each[:, None, None] for each in (norm.running_mean, norm.running_var, norm.bias)
        )
        return (made - mean) / variance.sqrt() + bias

    convolutions = [part for part in block.modules() if isinstance(part, nn.Conv2d)]
    norms = [part for part in block.modules() if isinstance(part, speed_cnn.BiasNorm)]
    with torch.no_grad():
        first = F.gelu(of(convolutions[0], norms[0], True, images))
        second = F.gelu(of(convolutions[1], norms[1], False, first))
        expected = F.gelu(of(convolutions[2], norms[2], False, second) + first)
        torch.testing.assert_close(block(images), expected, rtol=1e-4, atol=1e-5)


def test_whitened_patches_are_uncorrelated_of_variance_one() -> None:
    backbone, images = build(), coloured(64)
    backbone.initialise(images)
    whitening = backbone.body.stages[0][0]
    with torch.no_grad():
        seen = whitening((images - backbone.mean) / backbone.std).double().numpy()
    assert seen.shape == (64, 24, 31, 31)
    np.testing.assert_allclose(seen[:, 12:], -seen[:, :12], atol=1e-5)
    found = np.cov(seen[:, :12].transpose(1, 0, 2, 3).reshape(12, -1))
    # eps raises variances, so those of the fine directions of smooth images stay below one
    pixels = ((images - backbone.mean) / backbone.std).double().numpy()
    patches = (
        sliding_window_view(pixels, (2, 2), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    )
    variances = np.linalg.eigvalsh(np.cov(patches.T))
    np.testing.assert_allclose(found, np.diag(variances / (variances + 5e-4)), atol=2e-3)
    assert found.diagonal().max() > 0.99


def test_the_filters_stay_while_all_else_trains() -> None:
    learner = scratch.Scratch(build().train(), Task(10), scratch.Options())
    assert "backbone.body.stages.0.0.weight" in learner.state_dict()
    assert "backbone.body.stages.0.0.weight" not in dict(learner.named_parameters())
    learner.head(learner.backbone(torch.rand(4, 3, 32, 32))).sum().backward()
    assert all(each.grad is not None for each in learner.parameters())


def test_convolutions_begin_as_the_identity() -> None:
    for part in build().modules():
        if isinstance(part, nn.Conv2d):
            images = torch.rand(2, part.in_channels, 6, 6)
            with torch.no_grad():
                torch.testing.assert_close(
                    part(images)[:, : part.in_channels], images[:, : part.out_channels]
                )


def test_the_norm_has_a_bias_alone() -> None:
    norm, plain = speed_cnn.BiasNorm(5), nn.BatchNorm2d(5, eps=1e-12, momentum=0.4, affine=False)
    images = torch.rand(8, 5, 4, 4)
    torch.testing.assert_close(norm(images), plain(images))
    torch.testing.assert_close(norm.running_var, plain.running_var)
    assert [name for name, _ in norm.named_parameters()] == ["bias"]


@pytest.mark.parametrize("name", ["speed-cnn", "conv4"])
def test_six_views_are_of_the_image_and_of_its_neighbours_by_a_pixel(name: str) -> None:
    with seeded(0, "test"):
        one = backbones.build(BackboneSettings(name=name)).eval()
    with seeded(0, "test"):
        six = backbones.build(BackboneSettings(name=name, views="flip-shift")).eval()
    images = torch.rand(3, 3, 32, 32)
    wide = torch.from_numpy(
        np.pad(images.numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], mode="reflect")
    )
    seen = (images, wide[..., :32, :32], wide[..., 2:, 2:])
    with torch.no_grad():
        itself, *moved = (one(view) + one(view.flip(-1)) for view in seen)
        expected = itself / 4 + sum(moved) / 8
        torch.testing.assert_close(six(images), expected, rtol=1e-4, atol=1e-5)
