"""The images that tasks are sampled from: all images of some classes of a data set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from episodes import class_splits, streams
from episodes.types import ImageSet, TrainTest
from fewshot.backbones import Backbone
from fewshot.features import frozen


class PoolFeatures(NamedTuple):
    """Features float32 [n, d] on the CPU, and the seconds of computing them; None if unknown."""

    features: Tensor
    seconds: float | None


@dataclass(frozen=True, eq=False)
class Pool:
    """All images of some classes, the training images first and then the test images.

    Features are computed for the data set's own parts, so that all splits share their cache.

    Attributes:
        data: the data set.
        classes: names of the classes of the pool, in the order of the labels.
        train_rows: which training images are in the pool, int64.
        test_rows: the same for test images.
        labels: label in the pool of each image, int64 [n].
    """

    data: TrainTest
    classes: tuple[str, ...]
    train_rows: Tensor
    test_rows: Tensor
    labels: Tensor

    @classmethod
    def of(cls, data: TrainTest, classes: tuple[str, ...] | None = None) -> Pool:
        """Return the pool of some classes, numbered in the order of the data; None for all."""
        known = data.train.classes
        names = tuple(name for name in known if classes is None or name in set(classes))
        new_label = torch.full((len(known),), -1)
        new_label[torch.tensor([known.index(name) for name in names])] = torch.arange(len(names))
        labels = [new_label[part.labels] for part in data]
        train_rows, test_rows = ((part >= 0).nonzero()[:, 0] for part in labels)
        chosen = torch.cat([labels[0][train_rows], labels[1][test_rows]])
        return cls(data, names, train_rows, test_rows, chosen)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.data.train.name

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the data."""
        return tuple(dict.fromkeys(self.data.train.notes + self.data.test.notes))

    @property
    def fingerprint(self) -> str:
        """Hash of the images at their size and of the classes."""
        train, test = self.data
        return self._hash(train.fingerprint, test.fingerprint)

    @property
    def identity(self) -> str:
        """Hash of the images, whatever the size of their pixels, and of the classes."""
        train, test = self.data
        return self._hash(train.identity, test.identity)

    def _hash(self, train: str, test: str) -> str:
        return hashlib.sha256(f"{train} {test} {self.classes}".encode()).hexdigest()[:32]

    def features(self, backbone: Backbone, device: str) -> PoolFeatures:
        """Return the features of all images, from the cache as far as they are there."""
        mark = frozen.fingerprint(backbone)
        parts = [
            frozen.cached(backbone, images, rows, device, mark)
            for images, rows in zip(self.data, (self.train_rows, self.test_rows), strict=True)
            if len(rows)
        ]
        return PoolFeatures(
            torch.cat([part.features.features.as_subclass(Tensor) for part in parts]),
            frozen.total_seconds([part.seconds for part in parts]),
        )

    def load(self, indices: Tensor, device: str) -> Tensor:
        """Return the images at some indices, float [n, c, h, w] in [0, 1], on a device."""
        train, test = self.data
        images = torch.empty(len(indices), *train.images.shape[1:], dtype=torch.uint8)
        in_test = indices >= len(self.train_rows)
        images[~in_test] = train.images[self.train_rows[indices[~in_test]]]
        images[in_test] = test.images[self.test_rows[indices[in_test] - len(self.train_rows)]]
        return streams.as_float(images.to(device))

    def image_set(self) -> ImageSet:
        """Return all images as one image set, for a training on them."""
        train = class_splits.of_classes(self.data.train, self.classes)
        if not len(self.test_rows):
            return train
        test = self.data.test
        return replace(
            train,
            images=torch.cat([train.images, test.images[self.test_rows]]),
            labels=self.labels,
            fingerprint=self.fingerprint,
            identity=self.identity,
            notes=self.notes,
        )
