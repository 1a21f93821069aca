"""Rules for every augmentation; oracles: the input itself, equal seeds and torch's meta device."""

import pytest
import torch

from episodes.augment import AUGMENTATIONS, build, mixes_labels
from tests.episodes.augment.samples import augmented, distinct, pictures, seeded


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_image_has_its_own_random_parameters(name: str) -> None:
    images = pictures(2, 32, 36)[:1].repeat(128, 1, 1, 1)
    if mixes_labels(name):  # a mixture of equal images would be that image
        images[::2] = pictures(2, 32, 36)[1]
    results = distinct(augmented(name, images, seeded()))
    if name in ("flip", "alternating_flip", "grey"):
        assert len(results) == 2
    else:
        assert len(results) > 25


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shape_range_and_type_hold_and_the_seed_alone_decides(
    name: str, dtype: torch.dtype
) -> None:
    images = pictures(16, dtype=dtype)
    images[0], images[1] = 0, 1
    original = images.clone()
    result = augmented(name, images, seeded())
    assert result.shape == images.shape
    assert result.dtype == dtype
    assert 0 <= result.min() < result.max() <= 1
    assert torch.equal(images, original)
    assert torch.equal(result, augmented(name, images, seeded()))
    assert not torch.equal(result, augmented(name, images, seeded(1)))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_small_grey_images_are_accepted(name: str) -> None:
    images = pictures(16, 8, 8)[:, :1]
    assert augmented(name, images, seeded()).shape == images.shape


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_nothing_reads_values_or_leaves_the_device(name: str) -> None:
    # The meta device has no values to read, and its tensors do not combine with those of others.
    images = torch.empty(8, 3, 32, 32, device="meta")
    labels = torch.empty(8, dtype=torch.int64, device="meta")
    for step in ({"name": name}, {"name": name, "p": 0.5}):
        result, _ = build([step], 10)(images, labels, seeded())
        assert result.shape == images.shape
        assert result.is_meta


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_integers_and_single_images_are_rejected(name: str) -> None:
    for images in (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8)):
        with pytest.raises(ValueError, match=r"images must be float \[n, c, h, w\]"):
            augmented(name, images, seeded())
