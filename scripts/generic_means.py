"""Compute the generic means that are shipped for the rejection of unknown classes.

python -m scripts.generic_means [NETWORK ...]

Each is the mean of the features of N_IMAGES random training images of Tiny ImageNet at 32 pixels,
read from $FEWSHOT_DATA/tinyimagenet32; for all networks that have one, or for those that are named.
"""

from __future__ import annotations

import sys

import torch
from safetensors.torch import load_file, save_file

from episodes import datasets
from fewshot import backbones
from fewshot.config import BackboneSettings
from fewshot.features import frozen
from fewshot.model.generic_means import FILE

N_IMAGES = 10_000
DATA = "tinyimagenet32"
NETWORKS = {
    "mini-resnet": BackboneSettings(name="mini-resnet", weights="pretrained", views="flip-crop"),
}


def mean(settings: BackboneSettings) -> torch.Tensor:
    """Return the mean features of a network, float16 [d]."""
    images = datasets.load(DATA).train
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    network = backbones.build(settings)
    features, _ = frozen.cached(network, images, order[:N_IMAGES], "cpu")
    return features.features.as_subclass(torch.Tensor).mean(0).half()


if __name__ == "__main__":
    means = load_file(FILE) if FILE.exists() else {}
    means |= {name: mean(NETWORKS[name]) for name in sys.argv[1:] or NETWORKS}
    save_file(means, FILE)
