"""AutoAugment: augmentation by a policy that was learned on another data set."""

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
from episodes.augment.geometry import pixel_centres, sample_pixels
from episodes.augment.random_parameters import check_images, integers, per_image, uniform

Policy = Literal["cifar10", "imagenet", "svhn"]

GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
# (images, strength [n], sign [n]) -> images, by the name of the operation in torchvision.
_COLOUR_OPERATIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
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
OPERATIONS = (*GEOMETRIC, *_COLOUR_OPERATIONS)
N_LEVELS = 10  # a policy gives the strength of an operation as a level below this number


class _PolicyTable(NamedTuple):
    """The two operations of every sub-policy; each field is [sub-policies, 2].

    Attributes:
        operation: index into OPERATIONS, int64.
        probability: probability that the operation is applied.
        strength: see `_strength`.
    """

    operation: Tensor
    probability: Tensor
    strength: Tensor


def auto_augment(images: Tensor, generator: torch.Generator, policy: Policy = "cifar10") -> Tensor:
    """Apply to each image one of the 25 pairs of operations of an AutoAugment policy.

    The policies and operations are those of torchvision; each operation is computed for all its
    images at once, and values are not rounded to 256 levels. On a GPU every operation is computed
    for all images, because selecting images would make the CPU wait for the GPU.

    Args:
        images: float [n, c, h, w] in [0, 1], c = 1 or 3.
        generator: source of the random choices.
        policy: data set on which the policy was learned.

    Raises:
        ValueError: images of another number of channels.

    Source:
        Cubuk et al., AutoAugment: Learning Augmentation Strategies from Data, arXiv 1805.09501.
    """
    check_images(images)
    if images.shape[1] not in (1, 3):
        raise ValueError(
            f"AutoAugment needs images of one or three channels, got {images.shape[1]}"
        )
    table = _policy_table(policy, images.device)
    sub_policy = integers(images, generator, 0, len(table.probability) - 1)
    for position in range(2):
        is_applied = uniform(images, generator) < table.probability[sub_policy, position]
        sign = 2 * integers(images, generator, 0, 1) - 1
        operation = torch.where(is_applied, table.operation[sub_policy, position], -1)
        strength = table.strength[sub_policy, position]
        select = images.device.type == "cpu"
        images = _apply_operations(images, operation, strength, sign, select)
    return images


@cache
def _policy_table(policy: Policy, device: torch.device) -> _PolicyTable:
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy

    rows = []
    for sub_policy in AutoAugment(AutoAugmentPolicy(policy)).policies:
        row = []
        for name, probability, level in sub_policy:
            row.append((OPERATIONS.index(name), probability, _strength(name, level or 0)))
        rows.append(row)
    values = torch.tensor(rows, dtype=torch.float64, device=device)
    operation, probability, strength = values.unbind(2)
    return _PolicyTable(operation.long(), probability.float(), strength.float())


def _strength(name: str, level: int) -> float:
    """Convert a level to the unit of an operation.

    Units: the slope for shears, the fraction of the side for translations, degrees for rotations,
    the change of the factor for colours, the step in levels for Posterize, and the threshold for
    Solarize.
    """
    share = level / (N_LEVELS - 1)
    if name == "Posterize":
        return 2.0 ** round(4 * share)
    if name == "Solarize":
        return 1 - share
    if name.startswith("Shear"):
        return 0.3 * share
    if name.startswith("Translate"):
        return 150 / 331 * share
    return (30.0 if name == "Rotate" else 0.9) * share


def _apply_operations(
    images: Tensor, operation: Tensor, strength: Tensor, sign: Tensor, select: bool
) -> Tensor:
    """Apply to each image its own operation.

    Args:
        images: float [n, c, h, w] in [0, 1].
        operation: index into OPERATIONS, or -1 for none, int64 [n].
        strength: [n], in the unit of the operation.
        sign: [n], 1 or -1; ignored by operations that have no direction.
        select: whether to compute an operation only for its own images; otherwise it is computed
            for all images.
    """
    result = images.clone()

    def apply(mask: Tensor, function: Callable[..., Tensor], *values: Tensor) -> None:
        if not select:
            torch.where(per_image(mask), function(images, *values), result, out=result)
            return
        rows = mask.nonzero()[:, 0]
        if len(rows):
            result[rows] = function(images[rows], *(value[rows] for value in values))

    is_geometric = (operation >= 0) & (operation < len(GEOMETRIC))
    apply(is_geometric, _transformed, operation, strength * sign)
    for name, function in _COLOUR_OPERATIONS.items():
        apply(operation == OPERATIONS.index(name), function, strength, sign)
    return result


def _transformed(images: Tensor, operation: Tensor, signed_strength: Tensor) -> Tensor:
    """Shear, translate or rotate each image; uncovered pixels are black.

    Shears leave the upper left corner in place; translations are by whole pixels; rotations are
    about the centre.
    """

    def amount(name: str) -> Tensor:
        is_operation = operation == OPERATIONS.index(name)
        return torch.where(is_operation, signed_strength, 0)[:, None, None]

    h, w = images.shape[-2:]
    y, x = pixel_centres(h, images)[:, None], pixel_centres(w, images)
    angle = torch.deg2rad(amount("Rotate"))
    from_y = angle.sin() * (x - w / 2) + angle.cos() * (y - h / 2) + h / 2
    from_x = angle.cos() * (x - w / 2) - angle.sin() * (y - h / 2) + w / 2
    from_y = from_y + amount("ShearY") * x - (amount("TranslateY") * h).trunc()
    from_x = from_x + amount("ShearX") * y - (amount("TranslateX") * w).trunc()
    return sample_pixels(images, from_y, from_x, "zeros", "nearest")
