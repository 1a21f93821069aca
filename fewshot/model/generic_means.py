"""Mean features of networks on images of many classes, which are shipped with the package.

`python -m scripts.generic_means` computes the file from the training images of Tiny ImageNet at 32
pixels.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from fewshot.config import BackboneSettings

FILE = Path(__file__).parent / "generic_means.safetensors"


def shipped(settings: BackboneSettings) -> Tensor | None:
    """Return the mean features of a network, float [d]; None if none are shipped for it."""
    from safetensors import safe_open

    if settings.weights != "pretrained" or settings.options or settings.centre:
        return None
    with safe_open(FILE, "pt") as file:
        if settings.name not in file.keys():  # noqa: SIM118  # the file is not a mapping
            return None
        return file.get_tensor(settings.name).float()
