"""Oracle: the same photos, with axes that NumPy moves to every layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewshot.errors import UserError
from fewshot.model import arrays

LAST = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
FIRST = LAST.transpose(0, 3, 1, 2)


@pytest.mark.parametrize(
    "images",
    [LAST, FIRST, torch.tensor(FIRST), torch.tensor(LAST), LAST.astype(np.int64), LAST / 255],
    ids=["NHWC", "NCHW", "tensor NCHW", "tensor NHWC", "integers", "floats"],
)
def test_every_layout_gives_the_same_pixels(images: np.ndarray | torch.Tensor):
    assert (arrays.batch(images) == LAST).all()
    assert torch.equal(arrays.to_pixels(arrays.batch(images)), torch.tensor(FIRST))


def test_grey_images_have_three_equal_channels():
    grey = LAST[..., 0]
    for images in (grey, grey[..., None], grey[:, None]):
        assert (arrays.batch(images) == grey[..., None]).all()
        assert arrays.batch(images).shape == LAST.shape


def test_where_both_axes_could_be_channels_numpy_has_them_last_and_torch_first():
    images = np.arange(2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 3, 5, 3)
    assert (arrays.batch(images) == images).all()
    assert (arrays.batch(torch.tensor(images)) == images.transpose(0, 2, 3, 1)).all()


def test_true_is_white():
    assert arrays.batch(np.ones((1, 5, 6), bool)).max() == 255


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((4, 10)), "FeatureClassifier"),
        (LAST[0], "one image"),
        (torch.tensor(FIRST[0]), "one image"),
        (np.zeros((2, 5, 6, 7), np.uint8), r"not of shape \(2, 5, 6, 7\)"),
        (LAST * 1.0, "divide brightness up to 255 by 255"),
        (LAST / 255 - 0.5, "from 0 to 1, not from -0.5"),
        (np.full((1, 4, 4, 3), np.nan), "from 0 to 1"),
        (LAST.astype(np.uint16) * 257, "divide 16-bit images by 257"),
        (LAST.astype(complex), "complex128"),
    ],
)
def test_what_is_no_image_is_one_sentence(images: np.ndarray | torch.Tensor, words: str):
    with pytest.raises(UserError, match=words) as caught:
        arrays.batch(images)
    assert "\n" not in str(caught.value)


def test_a_single_image_of_a_list_may_have_either_layout():
    for image in (LAST[0], FIRST[0], torch.tensor(FIRST[0])):
        assert (arrays.single(image) == LAST[0]).all()
    narrow = LAST[0, :, :3, 0]
    for image in (narrow, torch.tensor(narrow), torch.tensor(narrow[:3])):
        assert (arrays.single(image) == narrow[: len(image), :, None]).all()
    with pytest.raises(UserError, match="each image of a list"):
        arrays.single(LAST)
