"""The values that flow from data to learners; shapes, moving between devices, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images of one data set's one part, decoded and all of one size.

    images: uint8 [n, c, h, w], often memory-mapped; read it by index, never as a whole without need.
    labels: int64 [n], each in 0..n_classes-1.
    classes: class names, in the order of the labels.
    fingerprint: hash of the source's content and the working size; equal images, equal fingerprint.
    groups: superclass name -> class names (CIFAR-10: vehicle, animal); empty where none are known.
    mirror: whether a mirrored image keeps its class (not so for digits and text).
    notes: sentences for the user: files skipped, a split made.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    fingerprint: str
    groups: dict[str, tuple[str, ...]]
    mirror: bool = True
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


class TrainTest(NamedTuple):
    """The two parts of a data set: subsets are drawn from `train`, `test` judges."""

    train: ImageSet
    test: ImageSet


class Labelled(NamedTuple):
    """A batch: images float [n, c, h, w] in [0, 1]; labels int64 [n], or float [n, n_way] where mixed.

    pool_indices: index of each image in the training pool, int64 [n]; None outside training batches.
    """

    images: Tensor
    labels: Tensor
    pool_indices: Tensor | None = None

    def to(self, device: torch.device | str) -> Labelled:
        pool_indices = None if self.pool_indices is None else self.pool_indices.to(device)
        return Labelled(self.images.to(device), self.labels.to(device), pool_indices)


class Episode(NamedTuple):
    """One N-way task: support and query with local labels 0..n_way-1; classes int64 [n_way] maps them back."""

    support: Labelled
    query: Labelled
    classes: Tensor

    def to(self, device: torch.device | str) -> Episode:
        return Episode(self.support.to(device), self.query.to(device), self.classes.to(device))


class Pairs(NamedTuple):
    """Image pairs: left and right float [n, c, h, w]; same float [n], 1 where the classes agree.

    classes int64 [2, n]: the class of each left and each right image, for losses over all images of a batch.
    """

    left: Tensor
    right: Tensor
    same: Tensor
    classes: Tensor

    def to(self, device: torch.device | str) -> Pairs:
        return Pairs(*(each.to(device) for each in self))
