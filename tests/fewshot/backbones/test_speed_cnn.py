"""speed-cnn: its size by hand, its whitening by numpy, its layers by torch's functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn
from torch.nn import functional as F

from fewshot.backbones import speed_cnn
from tests.fewshot.backbones.seeded_build import build


def coloured(n: int) -> torch.Tensor:
    """Return smooth images whose channels are correlated, as those of photographs are."""
    noise = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    grey = noise.mean(1, keepdim=True)
    return F.interpolate(0.7 * grey + 0.3 * noise, (32, 32), mode="bilinear").clamp(0, 1)


@pytest.mark.parametrize(
    ("widths", "depth"), [((64, 256, 256), 2), ((128, 384, 512), 3)], ids=["94", "96"]
)
def test_parameters_of_airbench(widths: tuple[int, ...], depth: int) -> None:
    expected, c_in = 24, 24  # biases of the whitening, whose filters are fixed
    for width in widths:
        expected += 9 * c_in * width + (depth - 1) * 9 * width * width + depth * width
        c_in = width
    backbone = build("speed-cnn", options={"widths": list(widths), "depth": depth})
    assert sum(parameter.numel() for parameter in backbone.parameters()) == expected


def test_a_block_of_three_has_a_shortcut_over_its_last_two() -> None:
    block, images = speed_cnn.Block(4, 6, 3).eval(), torch.rand(2, 4, 8, 8)
    convolutions = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in block.modules() if isinstance(layer, speed_cnn.BiasNorm)]
    for convolution, norm in zip(convolutions, norms, strict=True):
        nn.init.normal_(convolution.weight)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)

    def layer(number: int, x: torch.Tensor, pool: bool = False) -> torch.Tensor:
        x = F.conv2d(x, convolutions[number].weight, padding=1)
        x = F.max_pool2d(x, 2) if pool else x
        norm = norms[number]
        mean, variance, bias = (
            values[:, None, None] for values in (norm.running_mean, norm.running_var, norm.bias)
        )
        return (x - mean) / variance.sqrt() + bias

    with torch.no_grad():
        first = F.gelu(layer(0, images, pool=True))
        second = F.gelu(layer(1, first))
        expected = F.gelu(layer(2, second) + first)
        torch.testing.assert_close(block(images), expected, rtol=1e-4, atol=1e-5)


def test_whitened_patches_are_uncorrelated_with_variance_one() -> None:
    backbone, images = build("speed-cnn"), coloured(64)
    backbone.initialise(images)
    whitening = backbone.body.stages[0][0]
    normalised = (images - backbone.mean) / backbone.std
    with torch.no_grad():
        outputs = whitening(normalised).double().numpy()
    assert outputs.shape == (64, 24, 31, 31)
    np.testing.assert_allclose(outputs[:, 12:], -outputs[:, :12], atol=1e-5)
    covariance = np.cov(outputs[:, :12].transpose(1, 0, 2, 3).reshape(12, -1))
    # eps raises variances, so those of the fine directions of smooth images stay below one.
    windows = sliding_window_view(normalised.double().numpy(), (2, 2), axis=(2, 3))
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    variances = np.linalg.eigvalsh(np.cov(patches.T))
    np.testing.assert_allclose(covariance, np.diag(variances / (variances + 5e-4)), atol=2e-3)
    assert covariance.diagonal().max() > 0.99


def test_grey_images_leave_every_filter_with_an_output_that_varies() -> None:
    backbone = build("speed-cnn")
    images = coloured(64).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    backbone.initialise(images)
    with torch.no_grad():
        outputs = backbone.body.stages[0][0]((images - backbone.mean) / backbone.std)
    variances = outputs.double().numpy().var((0, 2, 3))
    # Patches of one channel have four directions, so three filters share each of them.
    _, counts = np.unique(variances[:12].round(4), return_counts=True)
    assert variances.min() > 1e-4
    assert counts.tolist() == [3, 3, 3, 3]
    backbone.train()
    backbone(images).square().sum().backward()
    gradients = [parameter.grad for parameter in backbone.parameters()]
    assert all(gradient.abs().max() < 1e3 for gradient in gradients if gradient is not None)


def test_the_filters_of_the_whitening_are_saved_and_not_trained() -> None:
    backbone = build("speed-cnn").train()
    assert "body.stages.0.0.weight" in backbone.state_dict()
    assert "body.stages.0.0.weight" not in dict(backbone.named_parameters())
    backbone(torch.rand(4, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_convolutions_start_as_the_identity() -> None:
    for layer in build("speed-cnn").modules():
        if isinstance(layer, nn.Conv2d):
            images = torch.rand(2, layer.in_channels, 6, 6)
            with torch.no_grad():
                outputs = layer(images)[:, : layer.in_channels]
            torch.testing.assert_close(outputs, images[:, : layer.out_channels])


def test_the_norm_trains_a_bias_alone() -> None:
    norm = speed_cnn.BiasNorm(5)
    plain = nn.BatchNorm2d(5, eps=1e-12, momentum=0.4, affine=False)
    images = torch.rand(8, 5, 4, 4)
    torch.testing.assert_close(norm(images), plain(images))
    torch.testing.assert_close(norm.running_var, plain.running_var)
    assert [name for name, _ in norm.named_parameters()] == ["bias"]
    assert list(norm.state_dict()) == ["bias", "running_mean", "running_var", "num_batches_tracked"]


def test_features_are_scaled_maxima() -> None:
    backbone, images = build("speed-cnn"), torch.rand(2, 3, 32, 32)
    grid = (images - backbone.mean) / backbone.std
    with torch.no_grad():
        for stage in backbone.body.stages:
            grid = stage(grid)
        expected = grid.numpy().max((2, 3)) / 9
        np.testing.assert_allclose(backbone(images), expected, rtol=1e-5)
