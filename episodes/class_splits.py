"""Divide the classes of a data set into base, val and novel ones; leave out or add classes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from episodes.errors import UserError
from episodes.rng import generator
from episodes.types import ImageSet


@dataclass(frozen=True)
class Split:
    """A division of the classes of a data set; classes of no part are left out.

    Attributes:
        base: names of the classes to train on.
        val: names of the classes to choose weights and settings on.
        novel: names of the classes to evaluate on.

    Raises:
        UserError: a class is in two parts, or twice in one.
    """

    base: tuple[str, ...]
    val: tuple[str, ...]
    novel: tuple[str, ...]

    def __post_init__(self) -> None:
        names = [*self.base, *self.val, *self.novel]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise UserError(
                f"the class '{twice[0]}' is in two parts of a split, or twice in one: put every "
                "class into one of base, val and novel."
            )


def by_seed(
    classes: Sequence[str], seed: int, n_base: int, n_val: int, n_novel: int, data: str
) -> Split:
    """Divide classes at random into base, val and novel ones.

    Args:
        classes: class names of the data set; their order does not matter.
        seed: seed of the split; the same seed always gives the same split.
        n_base, n_val, n_novel: number of classes of each part. Other classes are left out.
        data: name of the data set, for the message.

    Returns:
        The split, with the classes of each part in the order of the data set.

    Raises:
        UserError: the parts need more classes than there are.
    """
    numbers = (n_base, n_val, n_novel)
    if sum(numbers) > len(classes):
        raise UserError(
            f"a split into {n_base}/{n_val}/{n_novel} classes needs {sum(numbers)}, but {data} has "
            f"{len(classes)}: ask for fewer."
        )
    order = torch.randperm(len(classes), generator=generator(seed, "class split")).tolist()
    shuffled = [sorted(classes)[number] for number in order]
    ends = list(accumulate(numbers, initial=0))
    parts = [set(shuffled[start:end]) for start, end in pairwise(ends)]
    return Split(*(tuple(name for name in classes if name in part) for part in parts))


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
    classes = [name for name in images.classes if name not in names]
    if len(classes) < 2:
        raise UserError(
            f"exclude_classes leaves {len(classes) or 'no'} class of {images.name}: at least two "
            "are needed."
        )
    return _selected(
        images,
        classes,
        about=f"without {sorted(set(names))}",
        note=f"without {len(images.classes) - len(classes)} classes",
    )


def of_classes(images: ImageSet, names: Sequence[str]) -> ImageSet:
    """Return the images of some classes, which are numbered anew in the order of the image set.

    Images that lie next to each other in the image set are not copied.

    Args:
        images: the image set.
        names: the classes that stay; all of them return the image set as it is.

    Raises:
        UserError: a name is no class of the image set, or there is none.
    """
    if unknown := sorted(set(names) - set(images.classes)) or ([] if names else ["no class"]):
        raise UserError(
            f"expected classes of {images.name}, not '{unknown[0]}': name classes as "
            "`fewshot data` lists them."
        )
    if set(names) == set(images.classes):
        return images
    classes = [name for name in images.classes if name in set(names)]
    note = f"{len(classes)} of {len(images.classes)} classes"
    return _selected(images, classes, about=f"only {classes}", note=note)


def _selected(images: ImageSet, classes: Sequence[str], about: str, note: str) -> ImageSet:
    """Return the images of some classes.

    Args:
        images: the image set.
        classes: names of the classes that stay, in the order of the image set.
        about: what is selected, for the fingerprint.
        note: what is selected, for the user.
    """
    stays = torch.tensor([name in set(classes) for name in images.classes])
    indices = stays[images.labels].nonzero()[:, 0]
    first, last = (int(indices[0]), int(indices[-1])) if len(indices) else (0, -1)
    is_run = last - first + 1 == len(indices)
    new_labels = stays.cumsum(0) - 1  # label in the image set -> label among the classes that stay
    groups = {
        group: tuple(member for member in members if member in classes)
        for group, members in images.groups.items()
    }
    return replace(
        images,
        images=images.images[first : last + 1] if is_run else images.images[indices],
        labels=new_labels[images.labels[indices]],
        classes=tuple(classes),
        fingerprint=_hash(f"{images.fingerprint} {about}"),
        identity=_hash(f"{images.identity} {about}"),
        clusters=None if images.clusters is None else images.clusters[indices],
        groups={group: members for group, members in groups.items() if members},
        notes=(*images.notes, note),
    )


def with_turned_classes(images: ImageSet) -> ImageSet:
    """Return an image set in which turned images are further classes, and superclasses likewise.

    Each class has three more: its images turned counter-clockwise by 90, 180 and 270 degrees.

    Source: Santoro et al., Meta-Learning with Memory-Augmented Neural Networks, ICML 2016, who
        do so with Omniglot.
    """
    n_classes = len(images.classes)
    turns = range(4)

    def turned(name: str, turn: int) -> str:
        return f"{name} turned by {90 * turn}" if turn else name

    groups = {
        turned(group, turn): tuple(turned(name, turn) for name in members)
        for turn in turns
        for group, members in images.groups.items()
    }
    return replace(
        images,
        images=torch.cat([images.images.rot90(turn, (2, 3)) for turn in turns]),
        labels=torch.cat([images.labels + turn * n_classes for turn in turns]),
        classes=tuple(turned(name, turn) for turn in turns for name in images.classes),
        fingerprint=_hash(f"{images.fingerprint} turned"),
        identity=_hash(f"{images.identity} turned"),
        clusters=None if images.clusters is None else images.clusters.repeat(4),
        groups=groups,
        notes=(*images.notes, "images turned by 90, 180 and 270 degrees are further classes"),
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
