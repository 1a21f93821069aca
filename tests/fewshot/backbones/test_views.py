"""Test-time views: slices of numpy arrays, scipy's maps, and means of features of single views."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from fewshot import backbones
from fewshot.backbones import views
from fewshot.config import Views
from tests.fewshot.backbones.seeded_build import build

SMALL = {"options": {"width": 8, "norm": "group"}}  # no batch statistics: training is evaluation


@pytest.mark.parametrize(("side", "crop_side"), [(40, 35), (32, 28), (33, 29)])
def test_the_middle_and_the_corners(side: int, crop_side: int) -> None:
    images = torch.rand(2, 3, side, side)
    start, rest = (side - crop_side) // 2, side - crop_side
    pixels = images.numpy()
    inner = pixels[..., start : start + crop_side, start : start + crop_side]
    np.testing.assert_array_equal(views.middle(images, 7 / 8), inner)
    expected = [
        pixels[..., :crop_side, :crop_side],
        pixels[..., :crop_side, rest:],
        pixels[..., rest:, :crop_side],
        pixels[..., rest:, rest:],
    ]
    for corner, slices in zip(views.corners(images, 7 / 8), expected, strict=True):
        np.testing.assert_array_equal(corner, slices)


def test_shifted_views_are_a_group_of_their_own() -> None:
    images = torch.rand(2, 3, 6, 6)
    padded = np.pad(images.numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], mode="reflect")
    whole, shifted = views.groups(images, "flip-shift")
    assert len(whole) == 1
    assert torch.equal(whole[0], images)
    np.testing.assert_array_equal(shifted[0], padded[..., :6, :6])
    np.testing.assert_array_equal(shifted[1], padded[..., 2:, 2:])


@pytest.mark.parametrize("kind", views.N_VIEWS)
def test_the_number_of_views_is_what_passes_through_the_body(kind: Views) -> None:
    backbone = build("conv4", views=kind, options={"width": 8})
    batch_sizes: list[int] = []
    backbone.body.register_forward_pre_hook(lambda body, inputs: batch_sizes.append(len(inputs[0])))
    backbone(torch.rand(3, 3, 40, 40))
    assert sum(batch_sizes) == 3 * backbone.n_views


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["conv4", "resnet10t"])
def test_two_views_are_the_image_and_its_mirror_image(name: str, precision: str) -> None:
    settings = SMALL if name == "conv4" else {}
    one = build(name, input_size=32, **settings)
    two = build(name, input_size=32, views="flip", **settings)
    for backbone in (one, two):
        backbone.set_compute(precision, True)
    images = torch.rand(3, 3, 40, 40)
    with torch.no_grad():
        expected = (one(images) + one(images.flip(-1))) / 2
        rtol = 2e-2 if precision == "bfloat16" else 1e-4
        torch.testing.assert_close(two(images), expected, rtol=rtol, atol=2e-3)
        assert not torch.allclose(expected, one(images), rtol=1e-2, atol=1e-3)
        if name == "conv4":
            assert torch.equal(two.train()(images), one(images))


@pytest.mark.parametrize("crop", [1.0, 0.8])
def test_four_views_are_the_image_and_its_middle_with_mirror_images(crop: float) -> None:
    one, four = build("conv4", **SMALL), build("conv4", views="flip-crop", crop=crop, **SMALL)
    images = torch.rand(3, 3, 40, 40)
    with torch.no_grad():
        whole = images if crop == 1 else images[..., 4:36, 4:36]
        inner = whole[..., 2:37, 2:37] if crop == 1 else whole[..., 2:30, 2:30]  # 7/8 of 40 or 32
        expected = sum(one(view) + one(view.flip(-1)) for view in (whole, inner)) / 4
        torch.testing.assert_close(four(images), expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(four.train()(images), one(images))


@pytest.mark.parametrize("pixels", [None, 1], ids=["one chunk", "chunks of 5, 5 and 2 views"])
def test_twelve_views_add_the_corners(monkeypatch: pytest.MonkeyPatch, pixels: int | None) -> None:
    one, twelve = build("conv4", **SMALL), build("conv4", views="flip-crops", **SMALL)
    images = torch.rand(3, 3, 40, 40)
    offsets = [(2, 2), (0, 0), (0, 5), (5, 0), (5, 5)]  # of crops of 35 pixels
    if pixels is not None:
        monkeypatch.setattr(backbones.backbone, "CHUNK_PIXELS", pixels)
    with torch.no_grad():
        crops = [images[..., top : top + 35, left : left + 35] for top, left in offsets]
        expected = sum(one(view) + one(view.flip(-1)) for view in (images, *crops)) / 12
        torch.testing.assert_close(twelve(images), expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(twelve.train()(images), one(images))


def test_six_views_weigh_the_image_as_much_as_its_two_neighbours() -> None:
    one, six = build("conv4", **SMALL), build("conv4", views="flip-shift", **SMALL)
    images = torch.rand(3, 3, 32, 32)
    padded = np.pad(images.numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], mode="reflect")
    wide = torch.from_numpy(padded)
    with torch.no_grad():
        shifted = (wide[..., :32, :32], wide[..., 2:, 2:])
        whole, *moved = (one(view) + one(view.flip(-1)) for view in (images, *shifted))
        expected = whole / 4 + sum(moved) / 8
        torch.testing.assert_close(six(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "crop_side"), [(32, 28), (33, 29), (64, 56)])
def test_a_crop_is_for_evaluation_alone(size: int, crop_side: int) -> None:
    whole = build("conv4", **SMALL)
    cropped = build("conv4", crop=0.875, **SMALL)
    images = torch.rand(2, 3, size, size)
    start = (size - crop_side) // 2
    inside = images[:, :, start : start + crop_side, start : start + crop_side]
    with torch.no_grad():
        assert torch.equal(cropped(images), whole(inside))
        assert not torch.equal(cropped(images), whole(images))
        assert torch.equal(cropped.train()(images), whole.train()(images))


def test_nine_views_are_turned_and_zoomed_without_mirror_images() -> None:
    images = torch.rand(4, 3, 32, 32)
    pictures = views.turned_and_zoomed(images)
    assert torch.equal(pictures[0], images)
    angles = [(degrees, zoom) for degrees in (0, -10, 10) for zoom in (1, 0.85, 1.15)]
    for (degrees, zoom), picture in zip(angles, pictures, strict=True):
        cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        inverse = np.array([[cosine, sine], [-sine, cosine]]) / zoom
        centre = np.array([15.5, 15.5])
        expected = ndimage.affine_transform(
            images[1, 2].double().numpy(),
            inverse,
            centre - inverse @ centre,
            order=1,
            mode="grid-constant",
        )
        np.testing.assert_allclose(picture[1, 2].numpy(), expected, atol=1e-4)
    one, nine = build("conv4", **SMALL), build("conv4", views="turn-zoom", **SMALL)
    nine.load_state_dict(one.state_dict())
    with torch.no_grad():
        expected_features = torch.stack([one.eval()(picture) for picture in pictures]).mean(0)
        torch.testing.assert_close(nine.eval()(images), expected_features)
