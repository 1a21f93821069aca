"""Several networks as one backbone whose features are theirs, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fewshot.backbones.backbone import Backbone
from fewshot.backbones.finish import FeatureMap, Finish
from fewshot.backbones.networks import Body
from fewshot.backbones.side_by_side import SideBySide
from fewshot.errors import UserError


class ConcatenatedBodies(Body):
    """Bodies that see the same images, or in training each its own part of the batch."""

    def __init__(self, bodies: Sequence[nn.Module], split_batch: bool) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)
        self.split_batch = split_batch

    @property
    def uses_initial_images(self) -> bool:
        return any(isinstance(body, Body) and body.uses_initial_images for body in self.bodies)

    def initialise(self, images: Tensor) -> None:
        for body in self.bodies:
            if isinstance(body, Body):
                body.initialise(images)

    def forward(self, images: Tensor) -> Tensor:
        parts = self._images_of_bodies(images)
        return torch.cat([body(part) for body, part in zip(self.bodies, parts, strict=True)], 1)

    def levels(self, images: Tensor) -> list[Tensor]:
        levels: list[Tensor] = []
        for body, part in zip(self.bodies, self._images_of_bodies(images), strict=True):
            assert isinstance(body, Body)
            levels += body.levels(part)
        return levels

    def _images_of_bodies(self, images: Tensor) -> list[Tensor]:
        """Return the images for each body; the remainder of an uneven split is dropped."""
        n_bodies = len(self.bodies)
        if self.split_batch and self.training and len(images) >= n_bodies:
            return list(images[: len(images) // n_bodies * n_bodies].chunk(n_bodies))
        return [images] * n_bodies


class ConcatenatedMaps(FeatureMap):
    """The maps that follow the bodies, each applied to the levels of its own body."""

    def __init__(self, maps: Sequence[Finish]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(maps)
        self._n_features = sum(part.n_features for part in maps)

    @property
    def n_features(self) -> int:
        return self._n_features

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        n_levels = len(levels) // len(self.parts)
        features = [
            part(levels[number * n_levels : (number + 1) * n_levels])
            for number, part in enumerate(self.parts)
        ]
        return torch.cat(features, 1)


def concatenate(networks: Sequence[Backbone], split_batch: bool = False) -> Backbone:
    """Return one backbone that gives the features of all networks, [n, sum of their n_features].

    The stages of the result join those of the networks, so a setting for a stage, such as freezing
    or a learning rate, holds for every network.

    Args:
        networks: backbones of one form, each with weights of its own.
        split_batch: in training, give each of m networks an m-th of the images, in order; the
            result then has a row for each image of such a part.

    Raises:
        UserError: the networks are themselves several side by side.
    """
    first = networks[0]
    if isinstance(first, SideBySide):
        raise UserError(
            "networks side by side cannot be trained several times at once, as ensembles and "
            "experts are: name a single backbone, without `+`."
        )
    stages: list[list[str]] = []
    for stage in first.stages:
        joined_stage: list[str] = []
        for number in range(len(networks)):
            joined_stage += [name.replace("body.", f"bodies.{number}.", 1) for name in stage]
        stages.append(joined_stage)
    joined = Backbone(
        ConcatenatedBodies([network.body for network in networks], split_batch),
        n_features=first.n_body_features * len(networks),
        input_size=first.input_size,
        statistics=(tuple(first.mean.flatten().tolist()), tuple(first.std.flatten().tolist())),
        stages=stages,
        form=f"{first.form.removesuffix(' root')} x{len(networks)}",
        views=first.views,
        crop=first.crop,
        centre=first.centre,
        root=first.root,
    )
    maps = [network.finish for network in networks if isinstance(network.finish, Finish)]
    joined.finish = ConcatenatedMaps(maps) if maps else None
    return joined
