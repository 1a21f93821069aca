"""Oracles: scipy.ndimage's transform, displacement and morphology, and coordinate ramps."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from episodes import augment
from episodes.augment import warping
from tests.episodes.augment.samples import distinct, pictures, ramps, seeded


@pytest.mark.parametrize("function", [augment.affine, augment.elastic, augment.stroke_width])
def test_copies_of_one_image_become_different(function) -> None:  # type: ignore[no-untyped-def]
    images = pictures(1, 32, 32).repeat(256, 1, 1, 1)
    assert len(distinct(function(images, seeded()))) > 50


def test_a_transformation_agrees_with_scipy() -> None:
    images = pictures(3, 21, 32)
    matrices = torch.tensor(
        [[[0.8, 0.3], [-0.2, 1.1]], [[0.0, 1.0], [-1.0, 0.0]], [[2, 0], [0, 1]]]
    )
    shifts = torch.tensor([[1.5, -4.0], [0.0, 0.0], [-3.25, 2.0]])
    ours = warping.transformed(images, matrices, shifts)
    centre = np.array([10.0, 15.5])
    for image, matrix, shift, result in zip(images, matrices, shifts, ours, strict=True):
        inverse = np.linalg.inv(matrix.double().numpy())
        offset = centre - inverse @ (centre + shift.numpy())
        for channel, own in zip(image, result, strict=True):
            theirs = ndimage.affine_transform(
                channel.double().numpy(), inverse, offset, order=1, mode="grid-constant"
            )
            np.testing.assert_allclose(own.numpy(), theirs, atol=1e-4)


def test_affine_without_strength_is_the_image_and_each_parameter_has_its_range() -> None:
    images = ramps(500, 32, 32)
    still = augment.affine(images[:4], seeded(), degrees=0, scale=(1, 1), shear=0, shift=0)
    torch.testing.assert_close(still, images[:4])

    def step(result: torch.Tensor, channel: int, axis: int) -> torch.Tensor:
        """Return how fast the position that is read changes at the centre, along an axis."""
        after = result[:, channel, 17 if axis == 0 else 15, 17 if axis == 1 else 15]
        return (after - result[:, channel, 15, 15]) * 32 / 2

    scaled = augment.affine(images, seeded(), degrees=0, scale=(0.8, 1.25), shear=0, shift=0)
    for axis in (0, 1):
        factors = 1 / step(scaled, axis, axis)
        assert stats.kstest(factors, "uniform", (0.8, 0.45)).pvalue > 0.001
    sheared = augment.affine(images, seeded(), degrees=0, scale=(1, 1), shear=20, shift=0)
    lean = torch.rad2deg(torch.atan(-step(sheared, 0, 1) / step(sheared, 0, 0)))
    assert stats.kstest(lean, "uniform", (-20, 40)).pvalue > 0.001
    rotated = augment.affine(images, seeded(), degrees=30, scale=(1, 1), shear=0, shift=0)
    angle = torch.rad2deg(torch.atan2(step(rotated, 0, 1), step(rotated, 0, 0)))
    assert stats.kstest(angle, "uniform", (-30, 60)).pvalue > 0.001
    shifted = augment.affine(images, seeded(), degrees=0, scale=(1, 1), shear=0, shift=0.2)
    for axis in (0, 1):
        moved = 15.5 / 32 - shifted[:, axis, 15, 15]
        assert stats.kstest(moved, "uniform", (-0.2, 0.4)).pvalue > 0.001


def test_a_displacement_agrees_with_scipy() -> None:
    images = pictures(2, 20, 27)
    down, right = torch.randn(2, 2, 20, 27, generator=seeded()) * 3
    ours = warping.displaced(images, down, right)
    rows, columns = np.mgrid[:20, :27]
    for i in range(2):
        places = np.stack([rows + down[i].numpy(), columns + right[i].numpy()])
        for channel in range(3):
            theirs = ndimage.map_coordinates(
                images[i, channel].double().numpy(), places, order=1, mode="grid-constant"
            )
            np.testing.assert_allclose(ours[i, channel].numpy(), theirs, atol=1e-4)


def test_elastic_fields_are_smooth_and_as_large_as_asked() -> None:
    images = ramps(400, 64, 64)
    result = augment.elastic(images, seeded(), amount=0.02, cells=4)
    moved = (result - images)[:, :2, 16:48, 16:48]
    # At the points of the grid the interpolated field has the standard deviation of the grid.
    at_grid = moved[:, :, [7, 8], :][:, :, :, [7, 8]].mean((2, 3))
    assert at_grid.std().item() == pytest.approx(0.02, rel=0.1)
    assert moved.diff(dim=3).abs().max() < 0.25 * moved.abs().max()


def test_stroke_width_mixes_with_scipys_dilation_and_erosion() -> None:
    image = pictures(1, 16, 16)
    result = augment.stroke_width(image.repeat(200, 1, 1, 1), seeded(), amount=0.8)
    channel = image[0, 0].numpy()
    thicker = ndimage.grey_dilation(channel, (3, 3)) - channel
    thinner = ndimage.grey_erosion(channel, (3, 3)) - channel
    shares = []
    for own in (result[:, 0] - image[:, 0]).numpy():
        target, sign = (thicker, 1) if own.mean() > 0 else (thinner, -1)
        share = float((own * target).sum() / (target * target).sum())
        np.testing.assert_allclose(own, share * target, atol=1e-5)
        shares.append(sign * share)
    assert stats.kstest(shares, "uniform", (-0.8, 1.6)).pvalue > 0.001
    assert math.isclose(max(map(abs, shares)), 0.8, abs_tol=0.05)


def test_the_centre_of_brightness_moves_to_the_middle_as_scipy_measures_it() -> None:
    images = torch.zeros(3, 1, 30, 40)
    images[0, 0, 3:11, 5:9] = torch.rand(8, 4, generator=seeded())
    images[1, 0, 20:26, 28:35] = torch.rand(6, 7, generator=seeded(1))
    result = warping.centred(images)
    for before, after in zip(images[:2, 0].numpy(), result[:2, 0].numpy(), strict=True):
        np.testing.assert_allclose(ndimage.center_of_mass(after), (14.5, 19.5), atol=1e-3)
        shift = np.array([14.5, 19.5]) - ndimage.center_of_mass(before)
        expected = ndimage.shift(before.astype(float), shift, order=1, mode="grid-constant")
        np.testing.assert_allclose(after, expected, atol=1e-3)
    assert result[2].abs().max() == 0
