"""Oracle: torchvision's AutoAugment, its operations, its policies and its transform as a whole."""

import itertools
from collections import Counter, defaultdict

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, InterpolationMode, v2
from torchvision.transforms.autoaugment import _apply_op

from episodes import augment
from episodes.augment import policy
from tests.episodes.augment.samples import pictures, seeded


def test_the_global_generator_is_neither_used_nor_changed() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = augment.auto_augment(pictures(8), seeded())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert torch.equal(augment.auto_augment(pictures(8), seeded()), first)


def test_two_calls_with_one_generator_differ() -> None:
    generator, images = seeded(), pictures(8)
    first = augment.auto_augment(images, generator)
    assert not torch.equal(augment.auto_augment(images, generator), first)


@pytest.mark.parametrize("select", [True, False])
@pytest.mark.parametrize("name", policy.OPERATIONS)
def test_every_operation_agrees_with_torchvision(name: str, select: bool) -> None:
    n = 4
    images = (pictures(n) * 255).round()
    strengths, signed = AutoAugment()._augmentation_space(policy.N_LEVELS, (24, 30))[name]
    levels = range(policy.N_LEVELS) if select else (3, 9)
    for level, sign in itertools.product(levels, (1, -1) if signed else (1,)):
        strength = sign * float(strengths[level] if strengths.ndim else 0)
        theirs = [
            _apply_op(image, name, strength, InterpolationMode.NEAREST, None)
            for image in images.to(torch.uint8)
        ]
        ours = policy._apply_operations(
            images / 255,
            torch.full((n,), policy.OPERATIONS.index(name)),
            torch.full((n,), policy._strength(name, level)),
            torch.full((n,), sign),
            select,
        )
        # Torchvision rounds down to 1/255 after every part of an operation.
        differs = (ours * 255 - torch.stack(theirs)).abs() > 2.1
        # Rows and columns that are read halfway between two pixels may differ.
        assert differs.float().mean() < 0.1


def test_operations_occur_as_often_as_the_policy_says(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 40_000
    applied: list[tuple[Tensor, Tensor]] = []

    def record(
        images: Tensor, operation: Tensor, strength: Tensor, sign: Tensor, select: bool
    ) -> Tensor:
        applied.append((operation, strength * sign))
        return images

    monkeypatch.setattr(policy, "_apply_operations", record)
    augment.auto_augment(torch.zeros(n, 3, 2, 2), seeded())
    sub_policies = AutoAugment(AutoAugmentPolicy.CIFAR10).policies
    assert len(applied) == 2
    for position, (operation, strength) in enumerate(applied):
        expected: dict[tuple[int, float], float] = defaultdict(float)
        for sub_policy in sub_policies:
            name, probability, level = sub_policy[position]
            key = policy.OPERATIONS.index(name), round(policy._strength(name, level or 0), 4)
            expected[key] += probability / len(sub_policies)
        magnitudes = [round(value, 4) for value in strength.abs().tolist()]
        counts = Counter(zip(operation.tolist(), magnitudes, strict=True))
        for key, share in expected.items():
            assert counts[key] / n == pytest.approx(share, abs=0.004)
        assert not [key for key in counts if key[0] >= 0 and key not in expected]
        is_positive = strength[strength != 0] > 0
        assert is_positive.float().mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", ["cifar10", "svhn"])
def test_the_whole_transform_agrees_with_torchvision_in_distribution(name: str) -> None:
    n = 600
    image = (pictures(1, 8, 8) * 255).round()
    ours = augment.auto_augment((image / 255).expand(n, -1, -1, -1), seeded(), name)
    transform = v2.AutoAugment(v2.AutoAugmentPolicy(name))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        theirs = torch.stack([transform(image[0].to(torch.uint8)) for _ in range(n)])
    # The mean brightness distinguishes the operations well enough. The noise hides that torchvision
    # rounds; the two samples are independent.
    means = [
        images.mean((1, 2, 3)) + 16 * torch.rand(n, generator=seeded())
        for images in (ours * 255, theirs.float())
    ]
    assert stats.ks_2samp(*means).pvalue > 0.001


def test_images_of_four_channels_are_rejected() -> None:
    with pytest.raises(ValueError, match="one or three channels, got 4"):
        augment.auto_augment(torch.rand(2, 4, 8, 8), seeded())
