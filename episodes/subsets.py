"""Select images by index: nested k-shot subsets, fractions, hold-outs and folds.

Every function takes labels, int64 [n] on the CPU, and returns indices into them. Nothing here reads an image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from episodes.errors import UserError
from episodes.rng import generator


def by_class(labels: Tensor, n_classes: int) -> list[Tensor]:
    """Indices of each class, in the order of the labels: n_classes tensors int64 [count]."""
    order = torch.argsort(labels, stable=True)
    return list(order.split(torch.bincount(labels, minlength=n_classes).tolist()))


def _shuffled(labels: Tensor, n_classes: int, seed: int) -> list[Tensor]:
    """One permutation per class and seed; every subset takes its first k, so subsets are nested."""
    return [
        members[torch.randperm(len(members), generator=generator(seed, "subset", label))]
        for label, members in enumerate(by_class(labels, n_classes))
    ]


def shots(labels: Tensor, classes: Sequence[str], k: int, seed: int) -> Tensor:
    """k images of every class, nested in k for one seed: int64 [n_classes * k], class by class.

    Raises UserError where a class has fewer than k images.
    """
    if k < 1:
        raise UserError(f"shots must be at least 1, not {k}.")
    members = _shuffled(labels, len(classes), seed)
    smallest = min(range(len(classes)), key=lambda label: len(members[label]))
    if k > len(members[smallest]):
        raise UserError(
            f"{k} shots were asked for, but class '{classes[smallest]}' has only {len(members[smallest])} "
            f"training images: use {len(members[smallest])} shots or fewer, or a fraction."
        )
    return torch.cat([each[:k] for each in members])


def fraction(labels: Tensor, n_classes: int, p: float, seed: int) -> Tensor:
    """A share p of every class, rounded, at least one image each, nested in p and in the k of `shots`."""
    if not 0 < p <= 1:
        raise UserError(f"fraction must be above 0 and at most 1, not {p}.")
    return torch.cat(
        [each[: max(1, round(p * len(each)))] for each in _shuffled(labels, n_classes, seed)]
    )


def hold_out(labels: Tensor, share: float, split_seed: int) -> tuple[Tensor, Tensor]:
    """A stratified hold-out: (kept, held_out) positions; each class keeps one image and gives one at least.

    Raises UserError where a class has a single image: with one label there is nothing to validate on.
    """
    n_classes = int(labels.max()) + 1
    kept, held = [], []
    for label, members in enumerate(by_class(labels, n_classes)):
        if len(members) == 1:
            raise UserError(
                "a validation set needs two labelled images of every class or more: "
                "use more shots, or select: last (no validation)."
            )
        if len(members) == 0:
            continue
        order = members[
            torch.randperm(len(members), generator=generator(split_seed, "hold-out", label))
        ]
        n_held = min(max(1, round(share * len(order))), len(order) - 1)
        held.append(order[:n_held])
        kept.append(order[n_held:])
    return torch.cat(kept), torch.cat(held)


def folds(labels: Tensor, n_folds: int, split_seed: int) -> list[tuple[Tensor, Tensor]]:
    """Stratified folds: n_folds pairs (kept, held_out) of positions; every position is held out once."""
    n_classes = int(labels.max()) + 1
    fold_of = torch.empty(len(labels), dtype=torch.int64)
    for label, members in enumerate(by_class(labels, n_classes)):
        order = torch.randperm(len(members), generator=generator(split_seed, "folds", label))
        fold_of[members[order]] = torch.arange(len(members)) % n_folds
    return [
        ((fold_of != fold).nonzero()[:, 0], (fold_of == fold).nonzero()[:, 0])
        for fold in range(n_folds)
    ]
