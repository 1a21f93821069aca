"""Augmentation by a policy that was learned elsewhere."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from episodes.augment.draws import check_images


def auto_augment(
    images: Tensor, generator: torch.Generator, policy: Literal["cifar10", "imagenet", "svhn"] = "cifar10"
) -> Tensor:
    """Apply AutoAugment's policy, found on the named data set, to each image (torchvision's).

    It works on uint8, so values are rounded to 1/255, and on the CPU, one image after the other, since on a
    batch torchvision draws one transform for all: by far the slowest of the augmentations.
    Errors: ValueError unless images have one or three channels. Source: Cubuk et al. 2019.
    """
    check_images(images)
    if images.shape[1] not in (1, 3):
        raise ValueError(f"AutoAugment needs images of one or three channels, got {images.shape[1]}")
    from torchvision.transforms import v2

    transform = v2.AutoAugment(v2.AutoAugmentPolicy(policy))
    pixels = (images * 255).round().to("cpu", torch.uint8)
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    # torchvision draws from the CPU's global generator alone; torch.manual_seed would reseed the GPUs' too.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        changed = torch.stack([transform(image) for image in pixels])
    return changed.to(images.device, images.dtype) / 255
