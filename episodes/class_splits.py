"""Divide the classes of a data set: base and novel ones, superclasses, and some left out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from episodes.errors import UserError
from episodes.rng import generator
from episodes.types import ImageSet


def base_novel(n_classes: int, n_novel: int, split_seed: int) -> tuple[Tensor, Tensor]:
    """Split the classes at random into base classes (training) and novel classes (evaluation).

    Args:
        n_classes: number of classes of the data set.
        n_novel: number of novel classes, from 1 to n_classes - 1.
        split_seed: seed of the split; the same seed always gives the same split.

    Returns:
        The labels of the base and of the novel classes, int64, sorted and disjoint.

    Raises:
        UserError: `n_novel` leaves no base class or asks for no novel class.
    """
    if not 0 < n_novel < n_classes:
        raise UserError(
            f"The number of novel classes must be between 1 and {n_classes - 1}, not {n_novel}."
        )
    order = torch.randperm(n_classes, generator=generator(split_seed, "base-novel"))
    return order[n_novel:].sort().values, order[:n_novel].sort().values


def superclasses(classes: Sequence[str], groups: Mapping[str, Sequence[str]]) -> Tensor:
    """Return the superclass of each class as a number.

    Args:
        classes: class names, in the order of the labels.
        groups: superclass name -> names of its classes.

    Returns:
        int64 [n_classes]; superclasses are numbered in the order of `groups`.

    Raises:
        UserError: a class belongs to no superclass.
    """
    number_of_class = {
        class_name: number
        for number, class_names in enumerate(groups.values())
        for class_name in class_names
    }
    for class_name in classes:
        if class_name not in number_of_class:
            raise UserError(
                f"Class '{class_name}' belongs to no superclass: name one for every class, "
                "for example in groups.yaml beside the images."
            )
    return torch.tensor([number_of_class[class_name] for class_name in classes])


def without_classes(images: ImageSet, names: Sequence[str]) -> ImageSet:
    """Return the images of all classes but some; the other classes are numbered anew.

    Args:
        images: the image set.
        names: the classes to leave out; none returns the image set as it is.

    Raises:
        UserError: a name is no class of the image set, or fewer than two classes are left.
    """
    if not names:
        return images
    unknown = [name for name in names if name not in images.classes]
    if unknown:
        raise UserError(
            f"exclude_classes names '{unknown[0]}', which is no class of {images.name}: name "
            "classes as `fewshot data` lists them."
        )
    stays = torch.tensor([name not in names for name in images.classes])
    classes = tuple(name for name in images.classes if name not in names)
    if len(classes) < 2:
        raise UserError(
            f"exclude_classes leaves {len(classes) or 'no'} class of {images.name}: leave two."
        )
    indices = stays[images.labels].nonzero()[:, 0]
    new_labels = stays.cumsum(0) - 1  # label in the image set -> label among the classes left
    groups = {
        group: tuple(member for member in members if member in classes)
        for group, members in images.groups.items()
    }
    about = f"{images.fingerprint} without {sorted(set(names))}"
    return replace(
        images,
        images=images.images[indices],
        labels=new_labels[images.labels[indices]],
        classes=classes,
        fingerprint=hashlib.sha256(about.encode()).hexdigest()[:32],
        groups={group: members for group, members in groups.items() if members},
        notes=(*images.notes, f"without {len(images.classes) - len(classes)} classes"),
    )
