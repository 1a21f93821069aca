"""The labelled subset of a trial: which images it may use, which validate, and which test it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from episodes import subsets
from episodes.types import TrainTest
from fewshot.config import RunConfig
from fewshot.runs import cross_validation


class LabelledSubset(NamedTuple):
    """Indices among the training images, int64.

    Attributes:
        labelled: the whole label budget, [n].
        train: the images to learn from.
        validation: the validation set, which counts in the label budget; None without one.
        test: the images of the same set that test the trial; None if there is a test set, which
            tests every trial.
    """

    labelled: Tensor
    train: Tensor
    validation: Tensor | None
    test: Tensor | None = None

    def to_json(self) -> dict[str, list[int] | None]:
        """Return the content of a trial's `indices.json`; `test` is in it with folds only."""
        validation = None if self.validation is None else self.validation.tolist()
        content = {"support": self.train.tolist(), "validation": validation}
        return content if self.test is None else {**content, "test": self.test.tolist()}


def labelled_subset(config: RunConfig, data: TrainTest, seed: int) -> LabelledSubset:
    """Sample the labelled subset of a trial from the training images of a data set.

    If the data set is whole, the images to sample from are those outside the trial's test fold.
    """
    pool, test = torch.arange(len(data.train)), None
    if data.is_whole:
        pool, test = cross_validation.split(config, data.train, seed)
    labels = data.train.labels
    labelled = pool[_label_budget(config, labels[pool], data.train.classes, seed)]
    if config.validation is None:
        return LabelledSubset(labelled, labelled, None, test)
    share, split_seed = config.validation.share, config.validation.split_seed
    clusters = None if data.train.clusters is None else data.train.clusters[labelled]
    inside, outside = subsets.hold_out(labels[labelled], share, split_seed, clusters)
    return LabelledSubset(labelled, labelled[inside], labelled[outside], test)


def label_counts(config: RunConfig, data: TrainTest, *, validation: bool = True) -> Tensor:
    """Return the labelled images of each class, int64 [n_folds, n_way]; [1, n_way] without folds.

    Args:
        config: settings of the run.
        data: the data set.
        validation: whether those of the validation set count.
    """
    n_folds = 1
    if data.is_whole:
        n_folds = cross_validation.n_folds(config, data.train)
        cross_validation.check_shots(config, data.train)
    counts = []
    for seed in range(n_folds):
        subset = labelled_subset(config, data, seed)
        labels = data.train.labels[subset.labelled if validation else subset.train]
        counts.append(labels.bincount(minlength=len(data.train.classes)))
    return torch.stack(counts)


def remark_on_fraction(config: RunConfig, data: TrainTest, labelled: Tensor) -> str | None:
    """Return a warning if a fraction is less than an image of some classes, and one was taken."""
    if config.fraction is None:
        return None
    labels, n_classes = data.train.labels, len(data.train.classes)
    shares = labels.bincount(minlength=n_classes) * config.fraction
    n_raised = int(((shares < 0.5) & (labels[labelled].bincount(minlength=n_classes) > 0)).sum())
    if not n_raised:
        return None
    return (
        f"{100 * config.fraction:g}% is less than one image of {n_raised} of {n_classes} "
        f"classes, so one of each was used: {len(labelled):,} labels, not {float(shares.sum()):.3g}"
    )


def _label_budget(config: RunConfig, labels: Tensor, classes: Sequence[str], seed: int) -> Tensor:
    """Return positions among the images that have these labels."""
    if config.shots == 0:
        return torch.empty(0, dtype=torch.int64)
    if config.shots is not None:
        return subsets.shots(labels, classes, config.shots, seed, config.class_shots)
    if config.fraction is not None:
        return subsets.fraction(labels, len(classes), config.fraction, seed)
    return torch.arange(len(labels))
