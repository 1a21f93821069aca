"""Compute the generic means that are shipped for the rejection of unknown classes.

python -m scripts.generic_means [NETWORK ...]

Each is the mean of the features of N_IMAGES random training images of Tiny ImageNet at 32 pixels,
read from $FEWSHOT_DATA/tinyimagenet32; for all networks that have one, or for those that are named.
"""

from __future__ import annotations

import sys

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional as F

from episodes import datasets
from fewshot import backbones, io
from fewshot.config import BackboneSettings
from fewshot.features import frozen
from fewshot.model import generic_means

N_IMAGES = 1_000
DATA = "tinyimagenet32"
LITE = {"weights": "pretrained", "views": "flip"}
NETWORKS = (
    BackboneSettings(name="mini-resnet", weights="pretrained", views="flip-crop"),
    *(BackboneSettings(name=f"tf_efficientnet_lite{n}", **LITE) for n in range(3)),
)


def means(settings: BackboneSettings) -> dict[str, Tensor]:
    """Return the mean of a network's features, and of its unit features, float16 [d]."""
    images = datasets.load(DATA).train
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:N_IMAGES]
    network = backbones.build(settings)
    network.set_compute("bfloat16", True)
    features = frozen.extract(network, images, rows, "cpu")
    parts = {False: features, True: F.normalize(features, dim=1)}
    return {
        generic_means.key(settings, unit) or "": part.mean(0).half() for unit, part in parts.items()
    }


def main(names: list[str]) -> None:
    """Compute the means of the networks with these names, with and without roots; keep others."""
    contents = load_file(generic_means.FILE) if generic_means.FILE.exists() else {}
    for settings in NETWORKS:
        for root in (False, True):
            if not names or settings.name in names:
                contents |= means(settings.model_copy(update={"root": root}))
                print(settings.name, "root" if root else "", flush=True)
    io.write_bytes(generic_means.FILE, save(contents))


if __name__ == "__main__":
    main(sys.argv[1:])
