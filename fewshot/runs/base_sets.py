"""The data sets of base classes: loaded, as one set, and apart again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from episodes import class_splits, datasets, streams
from episodes.streams import Pool
from episodes.types import ImageSet
from fewshot import backbones
from fewshot.config import MethodConfig, Train
from fewshot.errors import UserError


def load(settings: MethodConfig, progress: bool = False) -> tuple[ImageSet, ...]:
    """Return the training images of the base sets that a training names, decoded as its own are.

    Args:
        settings: the settings of the run; without a training it has no base sets.
        progress: whether to report progress while images are decoded.

    Raises:
        UserError: a data set is missing or broken, or a setting of base sets has none.
    """
    train = settings.train
    if train is None:
        return ()
    if not train.bases and (train.turned_classes or train.within_superclass):
        raise UserError(
            "train.turned_classes and train.within_superclass are for meta-training: set "
            "train.base as well, or leave them out."
        )
    if not train.bases:
        return ()
    input_size = backbones.input_side(settings.backbone)
    bases = []
    for name in train.bases:
        data = datasets.load(
            name,
            image_size=settings.image_size,
            input_size=input_size,
            fit=settings.image_fit,
            progress=progress,
        )
        bases.append(prepared(data.train, train))
    return tuple(bases)


def prepared(base: ImageSet, train: Train) -> ImageSet:
    """Return a base set as the training wants it: perhaps with turned images as further classes.

    Raises:
        UserError: the training needs superclasses, and the set has none.
    """
    if train.within_superclass and not base.groups:
        raise UserError(
            f"train.within_superclass needs base sets with superclasses, and {base.name} has none: "
            "name them in groups.yaml beside its images, or leave the setting out."
        )
    return class_splits.with_turned_classes(base) if train.turned_classes else base


def union(bases: Sequence[ImageSet]) -> ImageSet:
    """Return the images and classes of all base sets; a single one stays as it is.

    Raises:
        UserError: the sets have images of different sizes.
    """
    first, *others = bases
    for other in others:
        if other.images.shape[1:] != first.images.shape[1:]:
            sides = [images.images.shape[-1] for images in (first, other)]
            raise UserError(
                f"train.base: the images of {first.name} have {sides[0]} pixels a side and those "
                f"of {other.name} {sides[1]}: name base sets of one size, or set image_size."
            )
    if not others:
        return first
    starts = torch.tensor([0, *(len(base.classes) for base in bases[:-1])]).cumsum(0)
    return replace(
        first,
        name=names(bases),
        images=torch.cat([base.images for base in bases]),
        labels=torch.cat([base.labels + start for base, start in zip(bases, starts, strict=True)]),
        classes=tuple(name for base in bases for name in base.classes),
        fingerprint=" ".join(base.fingerprint for base in bases),
        identity=" ".join(base.identity for base in bases),
        groups={},
        mirror=all(base.mirror for base in bases),
        notes=tuple(note for base in bases for note in base.notes),
    )


def names(bases: Sequence[ImageSet]) -> str:
    """Return the names of the base sets as one text."""
    return " and ".join(base.name for base in bases)


def divided(pool: Pool, bases: Sequence[ImageSet]) -> Iterator[Pool]:
    """Yield the part of each base set in the pool of their union, with its own labels."""
    first_image = first_label = 0
    for base in bases:
        rows = slice(first_image, first_image + len(base))
        labels = pool.labels[rows] - first_label
        yield Pool(pool.images[rows], labels, len(base.classes), streams.superclasses(base))
        first_image += len(base)
        first_label += len(base.classes)
