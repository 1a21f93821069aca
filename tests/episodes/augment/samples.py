"""Images and helpers that the tests of the augmentations share."""

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.augment import AUGMENTATIONS, mixes_labels


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, h: int = 24, w: int = 30, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return smooth, slightly grainy blobs of colour, all different."""
    blobs = torch.rand(n, 3, 4, 4, generator=seeded(99), dtype=dtype)
    smooth = F.interpolate(blobs, (h, w), mode="bicubic").clamp(0, 1)
    return 0.95 * smooth + 0.05 * torch.rand(n, 3, h, w, generator=seeded(98), dtype=dtype)


def ramps(n: int, h: int, w: int) -> Tensor:
    """Return images that hold their own coordinates, as fractions of the size.

    Channel 0 is the y and channel 1 the x of each pixel's centre.
    """
    y, x = (torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w
    image = torch.stack([y[:, None].expand(h, w), x.expand(h, w), torch.zeros(h, w)])
    return image.expand(n, 3, h, w).clone()


def augmented(name: str, images: Tensor, generator: torch.Generator) -> Tensor:
    """Apply an augmentation with its default parameters."""
    if mixes_labels(name):
        return AUGMENTATIONS[name](images, torch.arange(len(images)) % 10, generator, 10)[0]
    return AUGMENTATIONS[name](images, generator)


def distinct(images: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}
