"""Divide the classes of a data set: into base and novel classes, and into superclasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from episodes.errors import UserError
from episodes.rng import generator


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
