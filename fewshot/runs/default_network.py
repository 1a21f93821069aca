"""The network of a run where the user names none: one for the size of the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from episodes import datasets
from fewshot import backbones, config
from fewshot.config import RunConfig


def for_images(values: Mapping[str, Any], settings: RunConfig) -> RunConfig:
    """Return the settings with the default network for the size of the images.

    It replaces the shipped network for small images where a method takes its features as they are,
    unless the user named a network or a preset. A method that trains the network has settings that
    were chosen for the network of its preset.

    Args:
        values: the settings that the user gave.
        settings: these on top of the preset.

    Raises:
        UserError: the data is missing or broken.
    """
    small = backbones.default(0)
    is_chosen = values.get("preset") is not None or config.expand(values.items()).get("backbone")
    takes_any = settings.train is None and not settings.learner.get("prior_from_names")
    if is_chosen or not takes_any or settings.backbone != small:
        return settings
    side = datasets.natural_side(settings.data)
    network = backbones.default(min(side, settings.image_size or side))
    return settings.model_copy(update={"backbone": network})
