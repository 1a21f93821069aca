"""Augmentations that mix images and their labels."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from episodes.augment.erasing import inside_box
from episodes.augment.random_parameters import Within, check_images, integers

# Below this alpha, Beta(alpha, alpha) is so close to 0 and 1 that nothing is mixed, and the Gamma
# samples underflow.
Alpha = Annotated[float, Within(0.01)]


def mixup(
    images: Tensor, labels: Tensor, generator: torch.Generator, n_classes: int, alpha: Alpha = 0.2
) -> tuple[Tensor, Tensor]:
    """Blend each image and its label with another one of the batch.

    Args:
        images: float [n, c, h, w] in [0, 1].
        labels: int64 [n], or float [n, n_classes].
        generator: source of the random choices.
        n_classes: number of classes.
        alpha: the image's own share is Beta(alpha, alpha).

    Returns:
        The mixed images and their soft labels, float [n, n_classes].

    Source:
        Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018.
    """
    check_images(images)
    targets = soft_labels(labels, n_classes, images)
    partners = random_partners(images, generator)
    shares = beta_samples(images, generator, alpha)
    mixed_images = blended(images, images[partners], shares).clamp_(0, 1)
    return mixed_images, blended(targets, targets[partners], shares)


def cutmix(
    images: Tensor, labels: Tensor, generator: torch.Generator, n_classes: int, alpha: Alpha = 1.0
) -> tuple[Tensor, Tensor]:
    """Paste a box of another image of the batch into each, and mix the labels accordingly.

    The box has the proportions of the image. Its centre can be any pixel; parts beyond the edge are
    cut off. The labels are mixed in the exact proportion of the pixels.

    Args:
        images: float [n, c, h, w] in [0, 1].
        labels: int64 [n], or float [n, n_classes].
        generator: source of the random choices.
        n_classes: number of classes.
        alpha: the share outside the box, before cutting, is Beta(alpha, alpha).

    Returns:
        The mixed images and their soft labels, float [n, n_classes].

    Source:
        Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers, 2019.
    """
    check_images(images)
    targets = soft_labels(labels, n_classes, images)
    partners = random_partners(images, generator)
    h, w = images.shape[-2:]
    side = (1 - beta_samples(images, generator, alpha)).sqrt()
    height, width = (side * h).long(), (side * w).long()
    top = integers(images, generator, 0, h - 1) - height // 2
    left = integers(images, generator, 0, w - 1) - width // 2
    pasted = inside_box(images, top, left, height, width)
    own_shares = 1 - pasted.sum((1, 2, 3), dtype=targets.dtype) / (h * w)
    mixed_images = torch.where(pasted, images[partners], images)
    return mixed_images, blended(targets, targets[partners], own_shares)


def soft_labels(labels: Tensor, n_classes: int, images: Tensor) -> Tensor:
    """Convert labels to float [n, n_classes]; integer labels become one-hot.

    Args:
        labels: int64 [n], or float [n, n_classes], which only changes its precision.
        n_classes: number of classes.
        images: the images of the labels; the result has their precision, at least float32.

    Raises:
        ValueError: labels of another shape or type.
    """
    dtype = torch.promote_types(images.dtype, torch.float32)
    n = len(images)
    if labels.is_floating_point() and labels.shape == (n, n_classes):
        return labels.to(dtype)
    if labels.dtype == torch.int64 and labels.shape == (n,):
        # F.one_hot would inspect the labels, for which the CPU would wait for the GPU.
        zeros = torch.zeros(n, n_classes, dtype=dtype, device=images.device)
        return zeros.scatter_(1, labels[:, None], 1)
    raise ValueError(
        f"labels must be int64 [{n}] or float [{n}, {n_classes}], "
        f"got {labels.dtype} {list(labels.shape)}"
    )


def random_partners(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random permutation of the batch, int64 [n]; an image may be its own partner."""
    return torch.randperm(len(images), generator=generator, device=images.device)


def beta_samples(images: Tensor, generator: torch.Generator, alpha: float) -> Tensor:
    """Return one Beta(alpha, alpha) sample per image, float64 [n].

    The sample is X / (X + Y) of two Gamma(alpha) samples. torch.distributions accepts no generator,
    so this calls the function below it. In float32 both samples would underflow for small alpha.
    """
    concentration = torch.full((2, len(images)), alpha, dtype=torch.float64, device=images.device)
    samples: Tensor = torch._standard_gamma(concentration, generator=generator)
    return samples[0] / (samples[0] + samples[1])


def blended(own: Tensor, other: Tensor, own_shares: Tensor) -> Tensor:
    """Mix two tensors [n, ...] in the proportion own_shares [n] to 1 - own_shares."""
    weights = own_shares.to(own.dtype).view(-1, *(1 for _ in own.shape[1:]))
    return torch.lerp(other, own, weights)
