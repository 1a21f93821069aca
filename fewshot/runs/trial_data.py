"""What a trial learns from and is evaluated on: images, or frozen features in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from episodes import streams, subsets
from episodes.types import FeatureSet, ImageSet, Labelled
from fewshot.backbones import chunk_size, embed
from fewshot.features import frozen
from fewshot.learners.base import Learner
from fewshot.runs.labelled_subset import LabelledSubset
from fewshot.runs.resolve import ResolvedRun

FEATURE_ROWS = 4096  # rows of features that are classified at once


class Part(NamedTuple):
    """Some images of a set, or their features.

    Attributes:
        source: the images or features.
        indices: which of them, int64 [n].
    """

    source: ImageSet | FeatureSet
    indices: Tensor

    @property
    def labels(self) -> Tensor:
        """Labels int64 [n]."""
        return self.source.labels[self.indices]

    @property
    def clusters(self) -> Tensor | None:
        """Clusters int64 [n]; None if each image is on its own."""
        clusters = self.source.clusters
        return None if clusters is None else clusters[self.indices]

    @property
    def n_way(self) -> int:
        """Number of classes."""
        return len(self.source.classes)

    def select(self, positions: Tensor) -> Part:
        """Return the images at some positions among the indices."""
        return Part(self.source, self.indices[positions])


class TrialData(NamedTuple):
    """The parts of a trial.

    Attributes:
        train, validation, test: images or their features.
        feature_seconds: the time in which the features were computed, in this trial or an earlier
            one; 0 for images, None if it was not measured.
    """

    train: Part
    validation: Part | None
    test: Part
    feature_seconds: float | None = 0.0


def load(run: ResolvedRun, learner: Learner, subset: LabelledSubset) -> TrialData:
    """Return the data of a trial: frozen features if the learner works on them, else images."""
    images = run.data.train
    validation = None if subset.validation is None else Part(images, subset.validation)
    tested = torch.arange(len(run.data.test)) if subset.test is None else subset.test
    test = Part(run.data.test, tested)
    data = TrialData(Part(images, subset.train), validation, test)
    if not works_on_features(run, learner, data.train):
        return data
    fingerprint, seconds = frozen.fingerprint(learner.backbone), []

    def features(part: Part) -> Part:
        assert isinstance(part.source, ImageSet)
        computed = frozen.cached(
            learner.backbone, part.source, part.indices, run.compute.device, fingerprint
        )
        seconds.append(computed.seconds)
        return Part(computed.features, torch.arange(len(computed.features)))

    train, test = features(data.train), features(data.test)
    validation = None if data.validation is None else features(data.validation)
    return TrialData(train, validation, test, frozen.total_seconds(seconds))


def works_on_features(run: ResolvedRun, learner: Learner, train: Part) -> bool:
    """Return whether frozen features can replace the images of a trial."""
    return frozen.can_replace_images(run.config, learner, not trains(run, learner, train))


def trains(run: ResolvedRun, learner: Learner, train: Part) -> bool:
    """Return whether a trial trains its learner on its own images."""
    if run.config.train is None or run.bases:
        return False
    return not has_no_episode(learner, train)


def has_no_episode(learner: Learner, train: Part) -> bool:
    """Return whether there is no training episode: fewer than two classes have two images."""
    return learner.feed == "episodes" and episode_ways(train) < 2


def episode_ways(train: Part) -> int:
    """Return how many classes have both a support and a query image for an episode."""
    return int((train.labels.bincount() > 1).sum())


def part_for_adapt(learner: Learner, train: Part) -> Part:
    """Return the part of the training images that `adapt` gets.

    If a trained head classifies, `adapt` does not read the support set, and one image of each class
    stands for it.
    """
    if learner.feed == "batches" and not learner.needs.support:
        by_class = subsets.by_class(train.labels, train.n_way)
        return train.select(torch.stack([positions[0] for positions in by_class]))
    return train


def support_for_adapt(learner: Learner, train: Part, device: str) -> Labelled:
    """Return the support set that `adapt` gets; see `part_for_adapt`."""
    part = part_for_adapt(learner, train)
    return streams.labelled(part.source, part.indices, device)


def batches(learner: Learner, part: Part, device: str) -> Iterator[Labelled]:
    """Yield a part in batches whose size bounds the memory that the learner needs."""
    if isinstance(part.source, ImageSet):
        size = chunk_size(learner.backbone, part.source.images)
    else:
        size = FEATURE_ROWS
    return streams.chunks(part.source, part.indices, size, device)


@torch.no_grad()
def repeated_batches(learner: Learner, part: Part, device: str) -> Iterable[Labelled]:
    """Return the batches of a part, for several passes.

    If the learner also reports metrics, which it can compute on features, the features are computed
    once.
    """
    images = _Repeated(lambda: batches(learner, part, device))
    if not learner.metric_names or learner.needs.metric_images:
        return images
    learner.eval()
    return [
        Labelled(frozen.as_features(embed(learner.backbone, batch.images)), batch.labels)
        for batch in images
    ]


class _Repeated:
    """What a function yields, from the beginning at each pass."""

    def __init__(self, make: Callable[[], Iterator[Labelled]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[Labelled]:
        return self.make()
