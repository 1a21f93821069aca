"""Numbers of images of the classes. Oracle: counts that the test chooses."""

from __future__ import annotations

import torch

from fewshot.checks import balance
from tests.fewshot.checks.clusters_of_features import data_set


def findings(*counts: int) -> list[tuple[str, str]]:
    """Return the kinds and words for a data set of four classes with these numbers of images."""
    labels = torch.arange(4).repeat_interleave(torch.tensor(counts))
    return [(one.kind, one.words) for one in balance.find(data_set(1)._replace(labels=labels))]


def test_equal_classes_are_fine():
    assert findings(8, 8, 8, 8) == []
    assert findings(8, 40, 30, 79) == []


def test_small_classes_are_named_with_their_numbers():
    (one, two) = findings(1, 4, 5, 9)
    assert one == ("too few images", "class cat has 1 image: label at least 5")
    assert two == ("too few images", "class dog has 4 images: label at least 5")


def test_a_class_without_images_is_named():
    ((kind, words),) = findings(9, 9, 0, 9)
    assert (kind, words) == ("too few images", "class owl has no image that can be read")


def test_very_unequal_classes_are_named():
    ((kind, words),) = findings(8, 80, 20, 30)
    assert kind == "unequal classes"
    assert "class dog has 80 images and class cat has 8" in words


def test_no_image_at_all_is_no_imbalance():
    assert len(findings(0, 0, 0, 0)) == 4
