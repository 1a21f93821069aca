"""Mean features of networks on images of many classes, which are shipped with the package.

`python -m scripts.generic_means` computes the file from training images of Tiny ImageNet at 32
pixels.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from fewshot.config import BackboneSettings

FILE = Path(__file__).parent / "generic_means.safetensors"


def shipped(settings: BackboneSettings) -> Tensor | None:
    """Return the mean features of a network, float [d]; None if none are shipped for it."""
    from safetensors import safe_open

    networks = [settings.model_copy(update={"beside": ()}), *settings.beside]
    keys = [key(network, unit=len(networks) > 1) for network in networks]
    with safe_open(FILE, "pt") as file:
        if any(one is None or one not in file.keys() for one in keys):  # noqa: SIM118
            return None
        return torch.cat([file.get_tensor(one).float() for one in keys])


def key(settings: BackboneSettings, unit: bool) -> str | None:
    """Return the name of a network's mean in the file; None for weights that are not published.

    Args:
        settings: a single network. Its views and its input size change the mean little, and do not
            count.
        unit: whether its features are scaled to unit length.
    """
    if settings.weights != "pretrained" or settings.options or settings.centre:
        return None
    name = settings.name.removesuffix(".in1k")
    return name + " root" * settings.root + " unit" * unit
