"""Fit a classifier to labelled images, complete with its card and its fold scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes import datasets
from episodes.types import Decoding, ImageSet
from fewshot import backbones, functional, progress
from fewshot.backbones import Backbone
from fewshot.config import BackboneSettings
from fewshot.config.fitting import FitConfig
from fewshot.errors import UserError
from fewshot.evaluation import metrics, statistics
from fewshot.features import frozen
from fewshot.model import heads
from fewshot.model.card import Card, Quality
from fewshot.model.classifier import ImageClassifier, LabelledFeatures, Recipe
from fewshot.model.reject import Rejection
from fewshot.runs import provenance
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
    backbone = settings.backbone or _default_backbone()
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
    network = settings.backbone or _default_backbone()
    device = devices.pick(device)
    progress.update("loading the network")
    backbone = backbones.build(network).to(device).eval().requires_grad_(False)
    progress.update("computing features")
    features = _features(backbone, images, device)
    recipe, labels, n_way = Recipe("logistic"), images.labels, len(images.classes)
    progress.update("fitting")
    head = heads.fit_head(
        features, labels, n_way, recipe, prior=settings.prior, classes=images.classes
    )
    held_out_started = time.perf_counter()
    held_out = heads.out_of_fold(
        features,
        labels,
        n_way,
        recipe,
        prior=settings.prior,
        classes=images.classes,
        clusters=images.clusters,
        seed=settings.seed,
    )
    temperature = heads.temperature(
        head, features, labels, held_out, prior=settings.prior, classes=images.classes
    )
    log_probabilities = (held_out.logits / temperature).log_softmax(1)
    quality = _quality(
        log_probabilities, held_out, images.classes, time.perf_counter() - held_out_started
    )
    true = log_probabilities.gather(1, held_out.labels[:, None])[:, 0].exp()
    return ImageClassifier(
        classes=images.classes,
        decoding=images.decoding or Decoding(images.images.shape[-1], settings.image_fit),
        settings=network,
        backbone=backbone,
        head=head,
        temperature=temperature,
        recipe=recipe,
        support=LabelledFeatures(
            features, labels, tuple(names) or tuple(map(str, range(len(labels))))
        ),
        rejection=_rejection(features, labels, n_way, settings.reject),
        fold_scores=1 - true,
        card=Card(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=provenance.versions()["fewshot"],
            method="probe",
            choice="",
            class_counts=dict(
                zip(images.classes, labels.bincount(minlength=n_way).tolist(), strict=True)
            ),
            origins=(),
            quality=quality,
            data=images.name,
            data_fingerprint=images.fingerprint,
            seconds=time.perf_counter() - started,
            notes=images.notes,
        ),
    )


def _default_backbone() -> BackboneSettings:
    return BackboneSettings(name="mini-resnet", weights="pretrained", views="flip-crop")


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


def _quality(
    log_probabilities: Tensor, held_out: heads.OutOfFold, classes: Sequence[str], seconds: float
) -> Quality:
    """Return how good predictions for held-out images are."""
    n = len(held_out.labels)
    if not n:
        return Quality(None, None, None, None, 0, 0, None, seconds)
    scores = metrics.scores(log_probabilities, held_out.labels)
    interval = statistics.summary([scores.accuracy]).with_test_images(n)
    confusion = torch.tensor(scores.confusion)
    pairs = (confusion + confusion.T).triu(1)
    first, second = divmod(int(pairs.argmax()), len(classes))
    times = int(pairs[first, second])
    return Quality(
        accuracy=scores.accuracy,
        low=interval.low,
        high=interval.high,
        ece=scores.ece,
        n_images=n,
        n_folds=held_out.n_folds,
        confused=(classes[first], classes[second], times) if times else None,
        seconds=seconds,
    )


def _rejection(features: Tensor, labels: Tensor, n_way: int, share: float) -> Rejection:
    """Return a rejection that refuses nothing."""
    centre = features.mean(0)
    means = functional.prototypes(F.normalize(features - centre, dim=-1), labels, n_way)
    return Rejection(centre, F.normalize(means, dim=-1), -1.0, share)
