"""Crops by Pillow, whose place is known; a mask counted by hand."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from fewshot.checks import alignment
from tests.episodes.datasets.test_copies import scenes


def grey(picture: Image.Image) -> torch.Tensor:
    pixels = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.BOX))
    return torch.from_numpy(pixels.astype(np.float32))[None, None]


def test_a_crop_is_put_back_where_it_was_cut_out():
    whole = Image.fromarray(scenes(1)[0])
    left, top, right, bottom = 8, 0, 92, 90  # of 96 pixels
    crop = whole.crop((left, top, right, bottom))
    placement = alignment.align(grey(crop), grey(whole), alignment.identity(1), 8)[0]
    expected = [(right - left) / 96, (bottom - top) / 96]
    expected += [(left + right) / 96 - 1, (top + bottom) / 96 - 1]
    assert torch.allclose(placement, torch.tensor(expected), atol=0.01)


def test_gain_and_offset_do_not_move_an_image():
    image = grey(Image.fromarray(scenes(1)[0]))
    placement = alignment.align(image * 0.5 + 40, image, alignment.identity(1), 4)
    assert torch.allclose(placement, alignment.identity(1), atol=1e-3)


def test_pixels_from_outside_are_marked():
    images = torch.ones(1, 1, 4, 4)
    placement = torch.tensor([[1.0, 1.0, 0.5, 0.0]])  # one pixel to the left
    inside = alignment.moved(images, placement).inside
    assert inside[0, 0].sum(0).tolist() == [4, 4, 4, 0]
