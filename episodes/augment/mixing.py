"""Augmentations that mix images and, with them, their labels."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from episodes.augment.random_parameters import Within, check_images, integers
from episodes.augment.erasing import inside_box

# Below the least alpha, Beta's two peaks are so sharp that nothing is mixed, and Gamma draws underflow.
Alpha = Annotated[float, Within(0.01)]


def mixup(
    images: Tensor, labels: Tensor, generator: torch.Generator, n_classes: int, alpha: Alpha = 0.2
) -> tuple[Tensor, Tensor]:
    """Blend each image, and its label, with another of the batch; its own share is Beta(alpha, alpha).

    labels: int64 [n] or float [n, n_classes]. Returns the images and soft labels float [n, n_classes].
    Source: Zhang et al. 2018.
    """
    check_images(images)
    targets = soft(labels, n_classes, images)
    others = partners(images, generator)
    shares = beta(images, generator, alpha)
    return mixed(images, images[others], shares).clamp_(0, 1), mixed(
        targets, targets[others], shares
    )


def cutmix(
    images: Tensor, labels: Tensor, generator: torch.Generator, n_classes: int, alpha: Alpha = 1.0
) -> tuple[Tensor, Tensor]:
    """Paste a box of another image of the batch into each, and mix its label by the pixels' exact share.

    The share that stays is Beta(alpha, alpha); the box has the image's proportions, is centred on any pixel
    and clipped at the edge, for which the label's share is corrected.
    labels: int64 [n] or float [n, n_classes]. Returns the images and soft labels float [n, n_classes].
    Source: Yun et al. 2019.
    """
    check_images(images)
    targets = soft(labels, n_classes, images)
    others = partners(images, generator)
    h, w = images.shape[-2:]
    side = (1 - beta(images, generator, alpha)).sqrt()
    height, width = (side * h).long(), (side * w).long()
    top = integers(images, generator, 0, h - 1) - height // 2
    left = integers(images, generator, 0, w - 1) - width // 2
    pasted = inside_box(images, top, left, height, width)
    stays = 1 - pasted.sum((1, 2, 3), dtype=targets.dtype) / (h * w)
    return torch.where(pasted, images[others], images), mixed(targets, targets[others], stays)


def soft(labels: Tensor, n_classes: int, images: Tensor) -> Tensor:
    """Labels as float [n, n_classes], one-hot unless already soft; in the images' precision, or float32.

    Errors: ValueError on other shapes and types.
    """
    dtype = torch.promote_types(images.dtype, torch.float32)
    n = len(images)
    if labels.is_floating_point() and labels.shape == (n, n_classes):
        return labels.to(dtype)
    if labels.dtype == torch.int64 and labels.shape == (n,):
        # Not F.one_hot: it looks at the labels, and a GPU would have to wait for that.
        return torch.zeros(n, n_classes, dtype=dtype, device=images.device).scatter_(
            1, labels[:, None], 1
        )
    raise ValueError(
        f"labels must be int64 [{n}] or float [{n}, {n_classes}], got {labels.dtype} {list(labels.shape)}"
    )


def partners(images: Tensor, generator: torch.Generator) -> Tensor:
    """A random permutation of the batch, int64 [n]; an image may be its own partner."""
    return torch.randperm(len(images), generator=generator, device=images.device)


def beta(images: Tensor, generator: torch.Generator, alpha: float) -> Tensor:
    """One draw from Beta(alpha, alpha) per image, float64 [n]: X / (X + Y) of two Gamma(alpha) draws.

    torch.distributions takes no generator; the function that it draws Gammas with does. Float64, because with
    a small alpha both draws would underflow in float32.
    """
    concentration = torch.full((2, len(images)), alpha, dtype=torch.float64, device=images.device)
    x, y = torch._standard_gamma(concentration, generator=generator)
    return x / (x + y)


def mixed(own: Tensor, other: Tensor, shares: Tensor) -> Tensor:
    """shares [n] of own and the rest of other, both [n, ...]."""
    weights = shares.to(own.dtype).view(-1, *(1 for _ in own.shape[1:]))
    return torch.lerp(other, own, weights)
