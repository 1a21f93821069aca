"""Fit a classifier to labelled images, complete with its card and its fold scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from episodes import datasets
from episodes.types import Decoding, ImageSet
from fewshot import backbones, progress
from fewshot.config.fitting import FitConfig
from fewshot.errors import UserError
from fewshot.model import choosing, closed_form, outlook, reject
from fewshot.model.card import Card
from fewshot.model.choosing import Choice
from fewshot.model.classifier import ImageClassifier, LabelledFeatures
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
    side = datasets.natural_side(data)
    images = datasets.load(
        data,
        input_size=backbones.input_side(settings.backbone or backbones.default(side)),
        fit=settings.image_fit,
        test=None,
        group_by=settings.group_by,
        progress=progress.is_shown(),
    ).train
    return fit(images, settings, names=_names(data, len(images)), device=device, side=side)


def _names(data: str, n_images: int) -> tuple[str, ...]:
    """Return the paths of all images in their data set; none if some could not be read."""
    part = datasets.contents(data).train
    return tuple(map(part.name_of, range(n_images))) if len(part.labels) == n_images else ()


def fit(
    images: ImageSet,
    settings: FitConfig,
    *,
    names: Sequence[str] = (),
    device: str | None = None,
    side: int | None = None,
) -> ImageClassifier:
    """Fit a classifier to labelled images.

    Args:
        images: all labelled images.
        settings: how to fit.
        names: path or name of each image; empty for their numbers.
        device: cpu, cuda and so on; None for a GPU if there is one.
        side: usual side of the images before they were decoded, in pixels, which decides the
            default network; None for their side now.

    Raises:
        UserError: there are fewer than two classes, or a class has no image.
    """
    started = time.perf_counter()
    check(images)
    checks.check_prior(settings.prior, images.classes)
    device = devices.pick(device)
    devices.keep_freed_memory()
    default = settings.backbone or backbones.default(side or images.images.shape[-1])
    if not images.mirror:
        default = checks.without_mirrored_views(default)
    choice = choosing.choose(images, default, settings, device)
    progress.update("fitting")
    support = LabelledFeatures(
        choice.features,
        images.labels,
        tuple(names) or tuple(map(str, range(len(images)))),
        images.clusters,
    )
    fitted = _fitted(choice, support, images, settings)
    counts = images.labels.bincount(minlength=len(images.classes)).tolist()
    if choice.trained is None:
        forecast = outlook.sentences(support, images.classes, choice.recipe, fitted.quality)
    else:
        forecast = outlook.certainty(fitted.quality)
    return ImageClassifier(
        classes=images.classes,
        decoding=images.decoding or Decoding(images.images.shape[-1], settings.image_fit),
        settings=choice.settings,
        backbone=choice.backbone,
        head=fitted.head,
        temperature=fitted.temperature,
        recipe=choice.recipe,
        support=support,
        rejection=fitted.rejection,
        fold_scores=fitted.fold_scores,
        card=Card(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=provenance.versions()["fewshot"],
            method=choice.method,
            choice=choice.reason,
            class_counts=dict(zip(images.classes, counts, strict=True)),
            origins=backbones.origins(choice.settings),
            quality=fitted.quality,
            data=images.name,
            data_fingerprint=images.fingerprint,
            seconds=time.perf_counter() - started,
            notes=(*images.notes, *reject.notes(fitted.rejection)),
            forecast=forecast,
        ),
    )


def _fitted(
    choice: Choice, support: LabelledFeatures, images: ImageSet, settings: FitConfig
) -> closed_form.Fitted:
    """Return the head of a choice with its temperature, rejection, fold scores and quality."""
    features, labels, classes = support.features, support.labels, images.classes
    if choice.trained is None:
        centre = reject.centre(choice.settings, features, labels)
        return closed_form.fit(support, classes, choice.recipe, settings.reject, centre)
    head, temperature, held_out, seconds = choice.trained
    rejection = reject.scores_alone(features, labels, len(classes), settings.reject)
    return closed_form.measured(head, temperature, held_out, rejection, classes, seconds)


def check(images: ImageSet) -> None:
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
