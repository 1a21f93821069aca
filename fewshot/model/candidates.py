"""What `auto` compares: heads on frozen features of several networks, and trainings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from episodes import streams
from episodes.rng import seeded
from episodes.types import ImageSet
from fewshot import backbones, config
from fewshot.backbones import Backbone
from fewshot.backbones.default_network import SMALL
from fewshot.config import BackboneSettings
from fewshot.features import frozen
from fewshot.model.classifier import Recipe, for_models
from fewshot.model.training import Training
from fewshot.training import devices

TIMED_IMAGES = {"cpu": 8, "cuda": 64}  # few images leave most of a GPU idle
# The first is the default where nothing can be compared. The strengths were chosen on training
# images (docs/log.md).
RECIPES = (
    Recipe("logistic"),
    Recipe("logistic", c=10.0),
    Recipe("ridge"),
    Recipe("ridge", c=10.0),
    Recipe("cosine", centre=False, normalise=False),
)
KINDS = {
    "logistic": "logistic regression",
    "ridge": "ridge regression",
    "nearest-mean": "nearest class mean",
    "cosine": "cosine to the class mean",
}


@dataclass(frozen=True, eq=False)
class Network:
    """A frozen network, and what it makes of the labelled images.

    Attributes:
        settings: the network by name.
        backbone: the network with its weights, in evaluation mode, on its device.
        features: of all labelled images, float32 [n, d], on the CPU.
        seconds_per_image: of classification.
    """

    settings: BackboneSettings
    backbone: Backbone
    features: Tensor
    seconds_per_image: float


class Candidate(NamedTuple):
    """A way to learn.

    Attributes:
        name: what it is, in words.
        method: name of the learner.
        recipe: how its head is fitted.
        network: the network of a head on frozen features; None for a training.
        training: how a network is trained; None for a head on frozen features.
    """

    name: str
    method: str
    recipe: Recipe
    network: Network | None = None
    training: Training | None = None


def build(settings: BackboneSettings, device: str) -> Backbone:
    """Return a network that is not trained, in evaluation mode."""
    with seeded(0, "network"):  # random weights are the same whenever a classifier is fitted
        network = backbones.build(settings)
    return for_models(network.to(device).eval().requires_grad_(False))


@torch.no_grad()
def seconds_per_image(backbone: Backbone, images: ImageSet, device: str) -> float:
    """Return how long the classification of an image takes, from a few images."""
    n_images = min(TIMED_IMAGES[torch.device(device).type], len(images))
    few = streams.labelled(images, torch.arange(n_images), device).images
    times = []
    for _ in range(2):  # the first time takes longer
        started = devices.now(device)
        backbone(few)
        times.append(devices.now(device) - started)
    return min(times) / len(few)


def network(settings: BackboneSettings, images: ImageSet, device: str) -> Network:
    """Build a network and compute the features of all images."""
    backbone = build(settings, device)
    seconds = seconds_per_image(backbone, images, device)
    return Network(settings, backbone, features(backbone, images, device), seconds)


def features(backbone: Backbone, images: ImageSet, device: str) -> Tensor:
    """Return the features of all images, from the cache if the images are known by a hash."""
    indices = torch.arange(len(images))
    if not images.fingerprint:
        return frozen.extract(backbone, images, indices, device)
    return frozen.cached(backbone, images, indices, device).features.features.as_subclass(Tensor)


def others(first: BackboneSettings) -> list[BackboneSettings]:
    """Return the settings of further networks to compare with the default one.

    For small images it is that of the preset `accurate` of the probe, which has ImageNet networks
    beside the small one; for larger images it is the small one.
    """
    if first.name != SMALL.name:
        return [SMALL]
    accurate = config.preset("probe", "accurate")["backbone"]
    several = BackboneSettings.model_validate(accurate)
    known = all(map(backbones.has_pretrained_weights, several.networks))
    return [several] if known else []


def on_frozen(frozen_network: Network, recipe: Recipe) -> Candidate:
    """Return a head on the features of a frozen network."""
    strength = f" (c = {recipe.c:g})" if recipe.kind in ("logistic", "ridge") else ""
    name = f"{KINDS[recipe.kind]}{strength} on {frozen_network.settings.full_name}"
    method = "protonet" if recipe.kind == "cosine" else "probe"
    return Candidate(name, method, recipe, frozen_network)


def by_training(training: Training, recipe: Recipe) -> Candidate:
    """Return a training as a candidate."""
    config = training.config
    verb = "training" if config.method == "scratch" else "fine-tuning"
    start = "from random weights" if config.method == "scratch" else "of all its weights"
    steps = (
        "" if config.train is None or not config.train.steps else f", {config.train.steps} steps"
    )
    name = f"{verb} {config.backbone.full_name} {start}{steps}"
    return Candidate(name, config.method, recipe._replace(kind="trained"), training=training)


def with_small_coordinates(rows: Tensor) -> Tensor:
    """Return features [n, d] turned into their own span, [n, n] at most.

    Lengths and angles stay as they are, and with them what any head here predicts, which is then
    fitted in less time.
    """
    if len(rows) >= rows.shape[1]:
        return rows
    left, values, _ = torch.linalg.svd(rows.double(), full_matrices=False)
    return (left * values).to(rows)
