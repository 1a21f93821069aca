"""Oracles: images that show their own class, and the Beta distribution as scipy computes it."""

import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from episodes import augment
from episodes.augment import AUGMENTATIONS, mixing
from tests.episodes.augment.samples import pictures, seeded


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
@pytest.mark.parametrize("soft", [False, True])
def test_labels_are_mixed_in_the_proportion_of_the_pixels(name: str, soft: bool) -> None:
    n, labels = 200, torch.arange(200) % 10
    one_hot = F.one_hot(labels, 10).double()
    # Channel k of an image is 1 where it comes from class k, so its mean is the share of class k.
    images = one_hot[:, :, None, None].expand(n, 10, 16, 24)
    given = one_hot if soft else labels
    mixed_images, targets = AUGMENTATIONS[name](images, given, seeded(), 10, alpha=1.0)
    assert targets.shape == (n, 10)
    ones = torch.ones(n, dtype=torch.float64)
    torch.testing.assert_close(targets.sum(1), ones, rtol=0, atol=1e-12)
    torch.testing.assert_close(targets, mixed_images.mean((2, 3)), rtol=0, atol=1e-12)
    own_shares = targets[torch.arange(n), labels]
    assert 0.45 < own_shares.mean() < 0.75
    assert torch.equal(labels, torch.arange(200) % 10)


def test_cutmix_pastes_a_box_around_any_pixel_and_cuts_it_off_at_the_edge() -> None:
    n, h, w = 1000, 12, 20
    labels = torch.arange(n) % 2
    images = labels.float()[:, None, None, None].expand(-1, 1, h, w)
    result, targets = augment.cutmix(images, labels, seeded(), 2)
    pasted = (result != images)[:, 0]
    own_shares = targets[torch.arange(n), labels]
    n_whole_boxes = 0
    for box, share in zip(pasted, own_shares, strict=True):
        rows, columns = (box.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        if rows:
            height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
            assert box.sum() == height * width
            assert float(share) == pytest.approx(1 - height * width / (h * w), abs=1e-6)
            if rows[0] > 0 and rows[-1] < h - 1 and columns[0] > 0 and columns[-1] < w - 1:
                n_whole_boxes += 1
                assert abs(height / h - width / w) < 1 / h
    assert n_whole_boxes > 50
    assert pasted.any(0).all()


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 4.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    shares = mixing.beta_samples(torch.empty(20_000, 1, 1, 1), seeded(), alpha)
    # For a small alpha, floats near 1 are too far apart for the test: use the lower half.
    low = shares[shares < 0.5]
    assert stats.kstest(low, lambda x: 2 * stats.beta.cdf(x, alpha, alpha)).pvalue > 0.001
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.015)
    assert float(shares.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


def test_mixup_blends_images_and_labels_by_the_same_share() -> None:
    labels = torch.arange(500)  # one class per image
    images = labels.double()[:, None, None, None].expand(-1, 1, 1, 1) / 499
    result, targets = augment.mixup(images, labels, seeded(), 500, alpha=0.2)
    torch.testing.assert_close(result.flatten(), targets @ (labels.double() / 499))
    assert (targets > 0).sum(1).max() == 2
    shares = targets[torch.arange(500), labels]
    assert stats.kstest(shares[shares < 1], "beta", (0.2, 0.2)).pvalue > 0.001


def test_labels_of_another_shape_or_type_are_rejected() -> None:
    for labels in (
        torch.zeros(4, dtype=torch.int32),
        torch.zeros(5, dtype=torch.int64),
        torch.zeros(4, 3),
    ):
        with pytest.raises(ValueError, match=r"labels must be int64 \[4\] or float \[4, 10\]"):
            augment.mixup(pictures(4), labels, seeded(), 10)
