"""Augmentation by a policy that was learned elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from episodes.augment.colour import (
    brightened,
    contrasted,
    equalized,
    posterized,
    saturated,
    sharpened,
    solarized,
    stretched,
)
from episodes.augment.random_parameters import check_images, integers, per_image, uniform
from episodes.augment.geometry import centres, sampled

Policy = Literal["cifar10", "imagenet", "svhn"]

MOVES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
_CHANGES: dict[
    str, Callable[[Tensor, Tensor, Tensor], Tensor]
] = {  # images, their strengths and signs
    "Brightness": lambda images, strength, sign: brightened(images, 1 + strength * sign),
    "Color": lambda images, strength, sign: saturated(images, 1 + strength * sign),
    "Contrast": lambda images, strength, sign: contrasted(images, 1 + strength * sign),
    "Sharpness": lambda images, strength, sign: sharpened(images, 1 + strength * sign),
    "Posterize": lambda images, strength, sign: posterized(images, strength),
    "Solarize": lambda images, strength, sign: solarized(images, strength),
    "AutoContrast": lambda images, strength, sign: stretched(images),
    "Equalize": lambda images, strength, sign: equalized(images),
    "Invert": lambda images, strength, sign: 1 - images,
}
OPERATIONS = (*MOVES, *_CHANGES)
BINS = 10  # a policy names each operation's strength by a number below this


class _Table(NamedTuple):
    """Of each sub-policy's two operations: which, how probable, how strong. Each [sub-policies, 2]."""

    operation: Tensor
    chance: Tensor
    strength: Tensor


def auto_augment(images: Tensor, generator: torch.Generator, policy: Policy = "cifar10") -> Tensor:
    """Apply to each image one of the 25 pairs of operations that AutoAugment found on the named data set.

    The policies are torchvision's and the operations what they are there, each done for all its images at once.
    Values stay float. A GPU does every operation on every image, since it would have to be waited for to pick them.
    Errors: ValueError unless images have one or three channels. Source: Cubuk et al., arXiv 1805.09501.
    """
    check_images(images)
    if images.shape[1] not in (1, 3):
        raise ValueError(
            f"AutoAugment needs images of one or three channels, got {images.shape[1]}"
        )
    table = _table(policy, images.device)
    pair = integers(images, generator, 0, len(table.chance) - 1)
    for which in range(2):
        taken = uniform(images, generator) < table.chance[pair, which]
        sign = 2 * integers(images, generator, 0, 1) - 1
        operation = torch.where(taken, table.operation[pair, which], -1)
        images = _performed(
            images, operation, table.strength[pair, which], sign, pick=images.device.type == "cpu"
        )
    return images


@cache
def _table(policy: Policy, device: torch.device) -> _Table:
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy

    pairs = AutoAugment(AutoAugmentPolicy(policy)).policies
    rows = [
        [
            (OPERATIONS.index(name), chance, _strength(name, step or 0))
            for name, chance, step in pair
        ]
        for pair in pairs
    ]
    operation, chance, strength = torch.tensor(rows, dtype=torch.float64, device=device).unbind(2)
    return _Table(operation.long(), chance.float(), strength.float())


def _strength(name: str, step: int) -> float:
    """In its operation's unit: pixels a pixel, a share of the side, degrees, a change of a factor, levels, a value."""
    share = step / (BINS - 1)
    if name in ("Posterize", "Solarize"):
        return 2.0 ** round(4 * share) if name == "Posterize" else 1 - share
    most = {"Shear": 0.3, "Trans": 150 / 331, "Rotat": 30.0}.get(name[:5], 0.9)
    return most * share


def _performed(
    images: Tensor, operation: Tensor, strength: Tensor, sign: Tensor, pick: bool
) -> Tensor:
    """Each image after its operation, int64 [n], of a strength [n], with a sign [n] where it has one; -1 is none.

    pick: whether the images of an operation are picked out of the batch; else each operation is done on all.
    """
    result = images.clone()

    def perform(taken: Tensor, change: Callable[..., Tensor], *values: Tensor) -> None:
        if not pick:
            torch.where(per_image(taken), change(images, *values), result, out=result)
        elif len(rows := taken.nonzero()[:, 0]):
            result[rows] = change(images[rows], *(each[rows] for each in values))

    perform((operation >= 0) & (operation < len(MOVES)), _moved, operation, strength * sign)
    for name, change in _CHANGES.items():
        perform(operation == OPERATIONS.index(name), change, strength, sign)
    return result


def _moved(images: Tensor, operation: Tensor, signed: Tensor) -> Tensor:
    """Sheared from the upper left corner, shifted by whole pixels or turned about the centre; black moves in."""

    def amount(name: str) -> Tensor:
        return torch.where(operation == OPERATIONS.index(name), signed, 0)[:, None, None]

    h, w = images.shape[-2:]
    y, x, turn = centres(h, images)[:, None], centres(w, images), torch.deg2rad(amount("Rotate"))
    from_y = turn.sin() * (x - w / 2) + turn.cos() * (y - h / 2) + h / 2
    from_x = turn.cos() * (x - w / 2) - turn.sin() * (y - h / 2) + w / 2
    from_y = from_y + amount("ShearY") * x - (amount("TranslateY") * h).trunc()
    from_x = from_x + amount("ShearX") * y - (amount("TranslateX") * w).trunc()
    return sampled(images, from_y, from_x, "zeros", "nearest")
