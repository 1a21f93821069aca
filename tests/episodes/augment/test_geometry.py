"""Oracles: numpy's padding, torch's interpolation, torchvision's rotation, and coordinate ramps."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import functional as tv

from episodes import augment
from episodes.augment import geometry
from tests.episodes.augment.samples import pictures, ramps, seeded


def test_flip_mirrors_its_share_of_the_images() -> None:
    images = pictures(400)
    result = augment.flip(images, seeded(), p=0.3)
    columns = range(29, -1, -1)
    is_mirrored = (result == images[:, :, :, columns]).flatten(1).all(1)
    is_unchanged = (result == images).flatten(1).all(1)
    assert (is_mirrored ^ is_unchanged).all()
    assert 0.23 < is_mirrored.float().mean() < 0.37


def test_alternating_flip_mirrors_the_selected_images_or_else_flips_at_random() -> None:
    images, mirror = pictures(6), torch.tensor([True, False, True, True, False, False])
    result = augment.alternating_flip(images, seeded(), mirror)
    assert torch.equal(result[mirror], images[mirror].flip(-1))
    assert torch.equal(result[~mirror], images[~mirror])
    expected = augment.flip(images, seeded())
    assert torch.equal(augment.alternating_flip(images, seeded()), expected)


def all_shifts(image: np.ndarray, down: int, right: int, mode: str) -> dict[bytes, tuple[int, int]]:
    """Return every shifted version, cut out of numpy's padded image, and its shift."""
    _, h, w = image.shape
    padded = np.pad(image, [(0, 0), (down, down), (right, right)], mode=mode)
    shifts = {}
    for y in range(-down, down + 1):
        for x in range(-right, right + 1):
            window = padded[:, down + y : down + y + h, right + x : right + x + w]
            shifts[np.ascontiguousarray(window).tobytes()] = (y, x)
    return shifts


@pytest.mark.parametrize(
    ("function", "options", "reach", "mode"),
    [
        (augment.translate, {"pixels": 2, "border": "reflect"}, (2, 2), "reflect"),
        (augment.translate, {"pixels": 2, "border": "zero"}, (2, 2), "constant"),
        (augment.translate, {"pixels": 6, "border": "reflect"}, (6, 6), "reflect"),
        (augment.shift_wrap, {"fraction": 0.2}, (1, 2), "wrap"),
    ],
)
def test_shifts_agree_with_numpy_and_are_equally_likely(
    function: Callable[..., Tensor], options: dict[str, object], reach: tuple[int, int], mode: str
) -> None:
    image = pictures(1, 8, 11)
    shift_of_image = all_shifts(image[0].numpy(), *reach, mode)
    n = 30 * len(shift_of_image)
    result = function(image.expand(n, -1, -1, -1), seeded(), **options)
    shifts = [shift_of_image[picture.numpy().tobytes()] for picture in result]
    counts = [shifts.count(shift) for shift in shift_of_image.values()]
    assert stats.chisquare(counts).pvalue > 0.001


def test_a_reflected_shift_must_be_smaller_than_the_image() -> None:
    with pytest.raises(ValueError, match="shift of 8 pixels needs images larger"):
        augment.translate(pictures(2, 8, 11), seeded(), pixels=8)


def test_crop_reads_a_box_of_uniform_area_and_of_the_given_ratios() -> None:
    h, w = 40, 32
    result = augment.crop(ramps(1000, h, w), seeded(), scale=(0.3, 0.8), ratio=(0.5, 1.5))
    # Away from the edges, a ramp that is read bilinearly gives exactly the position that was read.
    step_y = (result[:, 0, 21, 9] - result[:, 0, 18, 9]) / 3
    step_x = (result[:, 1, 9, 17] - result[:, 1, 9, 14]) / 3
    box_h, box_w = step_y * h, step_x * w
    area, ratio = box_h * box_w, box_w * w / (box_h * h)
    assert stats.kstest(area, "uniform", (0.3, 0.5)).pvalue > 0.001
    assert 0.499 < ratio.min() < 0.55
    assert 1.3 < ratio.max() < 1.501
    top = result[:, 0, 18, 9] - 18.5 * step_y
    left = result[:, 1, 9, 14] - 14.5 * step_x
    for start, side in ((top, box_h), (left, box_w)):
        assert -1e-4 < start.min() < 0.01
        assert 0.99 < (start + side).max() < 1 + 1e-4


def test_a_crop_of_the_whole_image_is_the_image() -> None:
    images = pictures(4, 16, 16)
    torch.testing.assert_close(augment.crop(images, seeded(), (1.0, 1.0), (1.0, 1.0)), images)


def test_sampling_agrees_with_interpolating_a_part_of_the_image() -> None:
    image = pictures(1, 16, 16)
    rows, columns = torch.arange(16.0) / 2 + 4.25, torch.arange(16.0) / 2 + 6.25
    ours = geometry.sample_pixels(image, rows[None, :, None], columns[None, None, :], "border")
    theirs = F.interpolate(image[:, :, 4:12, 6:14], (16, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1])


def test_rotate_agrees_with_torchvision() -> None:
    images, degrees = pictures(5, 33, 48), torch.tensor([-170.0, -30.0, 0.0, 10.0, 90.0])
    ours = geometry.rotated(images, degrees)
    centre = (..., slice(8, 25), slice(12, 36))
    for image, angle, result in zip(images, degrees.tolist(), ours, strict=True):
        theirs = tv.rotate(image, angle, tv.InterpolationMode.BILINEAR)
        torch.testing.assert_close(result[centre], theirs[centre], atol=1e-4, rtol=0)
    assert ours[1, :, 0, 0].max() == 0


def test_rotate_chooses_its_angles_uniformly() -> None:
    result = augment.rotate(ramps(1000, 24, 24), seeded(), degrees=25.0)
    right = result[:, 1, 12, 12] - result[:, 1, 12, 11]
    down = result[:, 1, 12, 12] - result[:, 1, 11, 12]
    angles = torch.rad2deg(torch.atan2(-down, right))
    assert stats.kstest(angles, "uniform", (-25, 50)).pvalue > 0.001
