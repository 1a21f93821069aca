"""The test images of a model file.

Oracle: the classifier's own probabilities, and one that was changed by hand.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fewshot.model import self_check
from tests.fewshot.model.stored_classifier import classifier


@pytest.mark.parametrize(("side", "expected"), [(32, 32), (64, 64), (224, 64)])
def test_the_images_are_small_distinct_and_the_same_each_time(side: int, expected: int):
    images = self_check.patterns(side)
    assert images.shape == (3, 3, expected, expected)
    assert images.dtype == torch.uint8
    assert len({image.numpy().tobytes() for image in images}) == 3
    assert torch.equal(images, self_check.patterns(side))


def test_a_change_of_the_classifier_is_measured():
    model, images = classifier(), self_check.patterns(32)
    expected = self_check.probabilities(model, model.backbone, images)
    actual = model.log_probabilities(model.features(images)).exp()
    torch.testing.assert_close(expected, actual)
    assert self_check.largest_difference(model, images, expected) == 0
    warmer = replace(model, temperature=2 * model.temperature)
    assert self_check.largest_difference(warmer, images, expected) > self_check.TOLERANCE
