"""The labelled subset of a trial: which training images it may use, and which validate."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from episodes import subsets
from episodes.types import ImageSet
from fewshot.config import RunConfig


class LabelledSubset(NamedTuple):
    """Indices among the training images, int64.

    Attributes:
        labelled: the whole label budget, [n].
        train: the images to learn from.
        validation: the validation set, which counts in the label budget; None without one.
    """

    labelled: Tensor
    train: Tensor
    validation: Tensor | None

    def to_json(self) -> dict[str, list[int] | None]:
        """Return the content of a trial's `indices.json`."""
        validation = None if self.validation is None else self.validation.tolist()
        return {"support": self.train.tolist(), "validation": validation}


def labelled_subset(config: RunConfig, images: ImageSet, seed: int) -> LabelledSubset:
    """Sample the labelled subset of a trial from the training images of a data set."""
    labelled = _label_budget(config, images, seed)
    if config.validation is None:
        return LabelledSubset(labelled, labelled, None)
    share, split_seed = config.validation.share, config.validation.split_seed
    inside, outside = subsets.hold_out(images.labels[labelled], share, split_seed)
    return LabelledSubset(labelled, labelled[inside], labelled[outside])


def _label_budget(config: RunConfig, images: ImageSet, seed: int) -> Tensor:
    if config.shots == 0:
        return torch.empty(0, dtype=torch.int64)
    if config.shots is not None:
        others = config.class_shots
        return subsets.shots(images.labels, images.classes, config.shots, seed, others)
    if config.fraction is not None:
        return subsets.fraction(images.labels, len(images.classes), config.fraction, seed)
    return torch.arange(len(images))
