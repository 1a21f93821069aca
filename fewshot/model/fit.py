"""Fit a classifier to labelled images, complete with its card and its fold scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import torch
from torch import Tensor

from episodes import datasets
from episodes.types import Decoding, ImageSet
from fewshot import backbones, progress
from fewshot.backbones import Backbone
from fewshot.config.fitting import FitConfig
from fewshot.errors import UserError
from fewshot.features import frozen
from fewshot.model import closed_form, reject
from fewshot.model.card import Card
from fewshot.model.classifier import ImageClassifier, LabelledFeatures, Recipe
from fewshot.runs import checks, provenance
from fewshot.training import devices


def fit_data(data: str, settings: FitConfig, device: str | None = None) -> ImageClassifier:
    """Fit a classifier to the training images of a data set.

    Args:
        data: a path or the name of a data set, as for a run.
        settings: how to fit.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: the data is missing or broken, or cannot be classified.
    """
    backbone = settings.backbone or backbones.default(datasets.natural_side(data))
    images = datasets.load(
        data,
        input_size=backbones.input_side(backbone),
        fit=settings.image_fit,
        test=None,
        progress=progress.is_shown(),
    ).train
    return fit(images, settings.model_copy(update={"backbone": backbone}), device=device)


def fit(
    images: ImageSet,
    settings: FitConfig,
    *,
    names: Sequence[str] = (),
    device: str | None = None,
) -> ImageClassifier:
    """Fit a classifier to labelled images.

    Args:
        images: all labelled images.
        settings: how to fit.
        names: path or name of each image; empty for their numbers.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: there are fewer than two classes, or a class has no image.
    """
    started = time.perf_counter()
    _check(images)
    network = settings.backbone or backbones.default(images.images.shape[-1])
    if not images.mirror:
        network = checks.without_mirrored_views(network)
    device = devices.pick(device)
    progress.update("loading the network")
    backbone = backbones.build(network).to(device).eval().requires_grad_(False)
    progress.update("computing features")
    features = _features(backbone, images, device)
    progress.update("fitting")
    recipe = Recipe("logistic", prior=settings.prior, seed=settings.seed)
    support = LabelledFeatures(
        features,
        images.labels,
        tuple(names) or tuple(map(str, range(len(images)))),
        images.clusters,
    )
    fitted = closed_form.fit(
        support, images.classes, recipe, settings.reject, reject.generic_mean(network)
    )
    counts = images.labels.bincount(minlength=len(images.classes)).tolist()
    return ImageClassifier(
        classes=images.classes,
        decoding=images.decoding or Decoding(images.images.shape[-1], settings.image_fit),
        settings=network,
        backbone=backbone,
        head=fitted.head,
        temperature=fitted.temperature,
        recipe=recipe,
        support=support,
        rejection=fitted.rejection,
        fold_scores=fitted.fold_scores,
        card=Card(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=provenance.versions()["fewshot"],
            method="probe",
            choice="",
            class_counts=dict(zip(images.classes, counts, strict=True)),
            origins=backbones.origins(network),
            quality=fitted.quality,
            data=images.name,
            data_fingerprint=images.fingerprint,
            seconds=time.perf_counter() - started,
            notes=images.notes,
        ),
    )


def _check(images: ImageSet) -> None:
    """Raise UserError unless there are two classes or more, each with an image."""
    if len(images.classes) < 2:
        raise UserError(
            f"{images.name} has a single class, '{images.classes[0]}': a classifier needs images "
            "of at least two."
            if images.classes
            else f"{images.name} has no classes: a classifier needs images of at least two."
        )
    counts = images.labels.bincount(minlength=len(images.classes))
    if not counts.all():
        name = images.classes[int(counts.argmin())]
        raise UserError(f"class '{name}' of {images.name} has no image: add one, or remove it.")


def _features(backbone: Backbone, images: ImageSet, device: str) -> Tensor:
    """Return the features of all images, from the cache if the images are known by a hash."""
    indices = torch.arange(len(images))
    if not images.fingerprint:
        return frozen.extract(backbone, images, indices, device)
    return frozen.cached(backbone, images, indices, device).features.features.as_subclass(Tensor)
