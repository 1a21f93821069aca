"""Fit a classifier to labelled images, complete with its card and its fold scores."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

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
from fewshot.runs.doubtful_labels import names_of, sentence
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
    input_size = backbones.input_side(settings.backbone or backbones.default(side))
    images = datasets.load(
        data,
        input_size=input_size,
        fit=settings.image_fit,
        test=None,
        group_by=settings.group_by,
        progress=progress.is_shown(),
    ).train
    return fit(
        images,
        settings,
        names=names_of(
            data,
            len(images),
            input_size=input_size,
            fit=settings.image_fit,
            group_by=settings.group_by,
        ),
        device=device,
        side=side,
        is_published=not Path(os.path.expanduser(data)).exists(),
    )


def fit(
    images: ImageSet,
    settings: FitConfig,
    *,
    names: Sequence[str] = (),
    device: str | None = None,
    side: int | None = None,
    is_published: bool = False,
) -> ImageClassifier:
    """Fit a classifier to labelled images.

    Args:
        images: all labelled images.
        settings: how to fit.
        names: path or name of each image; empty for their numbers.
        device: cpu, cuda and so on; None for a GPU if there is one.
        side: usual side of the images before they were decoded, in pixels, which decides the
            default network; None for their side now.
        is_published: whether the data set has a name of its own; its labels are then not doubted.

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
    return of_choice(
        choice,
        support,
        images.classes,
        images.decoding or Decoding(images.images.shape[-1], settings.image_fit),
        settings.reject,
        Data(images.name, images.fingerprint, images.notes, is_published),
        started,
    )


class Data(NamedTuple):
    """What the card of a classifier says about the data set that it was fitted to.

    Attributes:
        name: name of the data set.
        fingerprint: hash of its images; empty if it is unknown.
        notes: sentences for the user.
        is_published: whether the data set has a name of its own, so that users can do nothing about
            its labels.
    """

    name: str
    fingerprint: str = ""
    notes: tuple[str, ...] = ()
    is_published: bool = False


def of_choice(
    choice: Choice,
    support: LabelledFeatures,
    classes: tuple[str, ...],
    decoding: Decoding,
    reject_share: float,
    data: Data,
    started: float,
) -> ImageClassifier:
    """Return the classifier that consists of a network and a head, complete with its card.

    Args:
        choice: the network and the head.
        support: the labelled images, of which every class has one.
        classes: class names, in the order of the labels.
        decoding: how image files become pixels.
        reject_share: share of images of the known classes that may be refused.
        data: where the images are from.
        started: when the work began, of `time.perf_counter`.
    """
    fitted = _fitted(choice, support, classes, reject_share)
    doubt = sentence(fitted.doubtful, support.names, support.labels, classes)
    counts = support.labels.bincount(minlength=len(classes)).tolist()
    if choice.trained is None:
        forecast = outlook.sentences(support, classes, choice.recipe, fitted.quality)
    else:
        forecast = outlook.certainty(fitted.quality)
    return ImageClassifier(
        classes=classes,
        decoding=decoding,
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
            class_counts=dict(zip(classes, counts, strict=True)),
            origins=backbones.origins(choice.settings),
            quality=fitted.quality,
            data=data.name,
            data_fingerprint=data.fingerprint,
            seconds=time.perf_counter() - started,
            notes=(
                *data.notes,
                *reject.notes(fitted.rejection),
                *([] if data.is_published or not doubt else [doubt]),
            ),
            forecast=forecast,
        ),
    )


def _fitted(
    choice: Choice, support: LabelledFeatures, classes: tuple[str, ...], share: float
) -> closed_form.Fitted:
    """Return the head of a choice with its temperature, rejection, fold scores and quality."""
    features, labels = support.features, support.labels
    if choice.trained is None:
        centre = reject.centre(choice.settings, features, labels)
        return closed_form.fit(support, classes, choice.recipe, share, centre)
    head, temperature, held_out, seconds = choice.trained
    rejection = reject.scores_alone(features, labels, len(classes), share)
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
