"""The network and the head that a classifier is fitted with: named by the user, or compared."""

from __future__ import annotations

import time
from typing import NamedTuple

import torch
from torch import Tensor

from episodes.types import ImageSet
from fewshot import config, progress
from fewshot.backbones import Backbone
from fewshot.config import FEW_LABELS, BackboneSettings
from fewshot.config.fitting import FitConfig
from fewshot.features import frozen
from fewshot.heads.affine import AffineHead
from fewshot.learners import probe
from fewshot.model import auto, candidates, heads, training, training_folds
from fewshot.model.candidates import Candidate
from fewshot.model.classifier import Recipe
from fewshot.model.heads import OutOfFold

ONE_LABEL = (
    "One labelled image of most classes leaves nothing to hold out, so nothing was compared: this "
    "is the default, {name}."
)


class TrainedHead(NamedTuple):
    """The head of a training, and what it says about held-out images.

    Attributes:
        head: features -> logits, under the prior.
        temperature: divides the logits.
        held_out: predictions of trainings without each fold.
        seconds: estimated seconds of those trainings, each like the last one.
    """

    head: AffineHead
    temperature: float
    held_out: OutOfFold
    seconds: float


class Choice(NamedTuple):
    """What a classifier consists of.

    Attributes:
        method: name of the learner.
        reason: why it was chosen; empty if the user named it.
        settings: the network by name.
        backbone: the network with its weights, in evaluation mode.
        features: of all labelled images, float32 [n, d].
        recipe: how the head is fitted.
        trained: the head of a training; None for a head on frozen features.
    """

    method: str
    reason: str
    settings: BackboneSettings
    backbone: Backbone
    features: Tensor
    recipe: Recipe
    trained: TrainedHead | None = None


def choose(images: ImageSet, default: BackboneSettings, settings: FitConfig, device: str) -> Choice:
    """Choose network and head.

    Args:
        images: all labelled images.
        default: the network that the user names, or the default one.
        settings: how to fit.
        device: cpu, cuda and so on.
    """
    recipe = Recipe("logistic", prior=settings.prior, seed=settings.seed)
    if settings.method == "scratch":
        return _by_scratch(images, recipe, settings, device)
    progress.update("computing features")
    first = candidates.network(default, images, device)
    if settings.method == "probe":
        probe_recipe = recipe_of_probe(len(images), len(images.classes), recipe)
        return _of_head(candidates.on_frozen(first, probe_recipe), "")
    if settings.method == "protonet":
        prototypes = recipe._replace(kind="cosine", centre=False, normalise=False)
        return _of_head(candidates.on_frozen(first, prototypes), "")
    if not auto.can_compare(images):
        candidate = candidates.on_frozen(first, recipe)
        return _of_head(candidate, ONE_LABEL.format(name=candidate.name))
    compare = auto.fine_tuned if settings.method == "finetune" else auto.compare
    comparison = compare(first, images, settings, device)
    assert comparison.best is not None
    best = comparison.best.candidate
    reason = comparison.sentence()
    if best.training is None:
        return _of_head(best, reason)
    return _of_training(best, images, comparison.held_out[best.name], reason, device)


def recipe_of_probe(n_images: int, n_classes: int, recipe: Recipe) -> Recipe:
    """Return the recipe of the preset of `probe` for so many labels, with the rest of a recipe."""
    few = n_images <= FEW_LABELS * n_classes
    section = config.preset("probe", "few" if few else "full")["learner"]
    options = probe.Options.model_validate(section)
    assert isinstance(options.c, float)
    return recipe._replace(
        kind=options.classifier,
        c=options.c,
        scale=options.scale,
        centre=options.centre,
        normalise=options.normalise,
    )


def _of_head(candidate: Candidate, reason: str) -> Choice:
    network = candidate.network
    assert network is not None
    return Choice(
        candidate.method,
        reason,
        network.settings,
        network.backbone,
        network.features,
        candidate.recipe,
    )


def _by_scratch(images: ImageSet, recipe: Recipe, settings: FitConfig, device: str) -> Choice:
    """Train a network from random weights, as the user asks for."""
    made = training.configured("scratch", images, settings.backbone)
    candidate = candidates.by_training(training.Training(made, device, settings.seed), recipe)
    held_out = OutOfFold(
        torch.empty(0, len(images.classes)), images.labels[:0], images.labels[:0], 0
    )
    if auto.can_compare(images):
        held_out = training_folds.out_of_fold(candidate, images, settings.seed, device)
    return _of_training(candidate, images, held_out, "", device)


def _of_training(
    candidate: Candidate, images: ImageSet, held_out: OutOfFold, reason: str, device: str
) -> Choice:
    """Train on all labelled images."""
    assert candidate.training is not None
    started = time.perf_counter()
    with progress.within(candidate.name):
        trained = candidate.training.run(images, torch.arange(len(images)))
    features = frozen.extract(trained.backbone, images, torch.arange(len(images)), device)
    prior, settings = candidate.recipe.prior, candidate.training.config.backbone
    head = heads.with_prior(trained.head, images.labels, trained.learned, prior, images.classes)
    temperature = heads.temperature(
        head,
        features,
        images.labels,
        held_out,
        prior,
        images.classes,
        pretrained=settings.weights != "none",
    )
    seconds = (time.perf_counter() - started) * held_out.n_folds
    return Choice(
        candidate.method,
        reason,
        settings,
        trained.backbone,
        features,
        candidate.recipe,
        TrainedHead(head, temperature, held_out, seconds),
    )
