"""Several networks side by side: each sees the images in its own way, and their features follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewshot.backbones.backbone import Backbone


class SideBySide(Backbone):
    """Networks of any kinds, whose features of unit length are put one after the other.

    Unlike the networks of `concatenate`, each one resizes and normalises the images itself and
    averages over views of its own.

    Args:
        networks: the networks, each with its weights and its preprocessing.
    """

    def __init__(self, networks: Sequence[Backbone]) -> None:
        super().__init__(
            nn.ModuleList(networks),
            n_features=sum(network.n_features for network in networks),
            input_size=max(network.input_size for network in networks),
            statistics=((0.0,) * 3, (1.0,) * 3),
            stages=_stages(networks),
            form=" + ".join(_form(network) for network in networks),
        )
        self.networks = tuple(networks)
        known = (network.pretraining for network in networks)
        self.pretraining = next((one for one in known if one is not None), None)

    @property
    def n_features(self) -> int:
        return sum(network.n_features for network in self.networks)

    @property
    def n_views(self) -> int:
        return max(network.n_views for network in self.networks)

    @property
    def image_side(self) -> int:
        return max(network.image_side for network in self.networks)

    def set_compute(self, precision: Literal["float32", "bfloat16"], channels_last: bool) -> None:
        self.precision, self.channels_last = precision, channels_last
        for network in self.networks:
            network.set_compute(precision, channels_last)

    def initialise(self, images: Tensor) -> None:
        for network in self.networks:
            network.initialise(images)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([F.normalize(network(images), dim=1) for network in self.networks], 1)


def _stages(networks: Sequence[Backbone]) -> list[list[str]]:
    """Return the names of the parameters of each stage; the last stages of all networks are one.

    A setting for the last n stages, such as freezing, then holds for those of every network.
    """
    depth = max(len(network.stages) for network in networks)
    stages: list[list[str]] = [[] for _ in range(depth)]
    for number, network in enumerate(networks):
        for stage, names in enumerate(network.stages, start=depth - len(network.stages)):
            stages[stage] += [f"{number}.{name}" for name in names]
    return stages


def _form(network: Backbone) -> str:
    """Return the form of a network, with all of its preprocessing."""
    centre = " centre" if network.centre else ""
    mean, std = network.mean.flatten().tolist(), network.std.flatten().tolist()
    preprocessing = f"{network.input_size} {network.views} {network.crop}{centre} {mean} {std}"
    return f"{network.form} ({preprocessing})"
