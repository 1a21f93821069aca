"""Many N-way k-shot tasks of equal shape, as indices of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TaskSet:
    """Tasks with the same numbers of classes, support images and query images.

    Tasks of varying shape are a tuple of such sets, which may hold a single task each.

    Attributes:
        support: indices of the support images in their image set, int64 [t, s].
        support_labels: their labels within the task, from 0 to n_way - 1, int64 [t, s]; every class
            has at least one support image.
        query: indices of the query images, int64 [t, q]; none of them is in the task's support.
        query_labels: their labels within the task, int64 [t, q]; a class may have no query.
        classes: label in the data set of each class of a task, int64 [t, n_way].
    """

    support: Tensor
    support_labels: Tensor
    query: Tensor
    query_labels: Tensor
    classes: Tensor

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def n_way(self) -> int:
        """The number of classes of each task."""
        return self.classes.shape[1]

    def __getitem__(self, rows: slice | Tensor) -> TaskSet:
        """Return some of the tasks."""
        return TaskSet(
            self.support[rows],
            self.support_labels[rows],
            self.query[rows],
            self.query_labels[rows],
            self.classes[rows],
        )

    def to(self, device: torch.device | str) -> TaskSet:
        """Copy the tasks to a device."""
        return TaskSet(
            self.support.to(device),
            self.support_labels.to(device),
            self.query.to(device),
            self.query_labels.to(device),
            self.classes.to(device),
        )


def joined(parts: Sequence[TaskSet]) -> TaskSet:
    """Return the tasks of several sets of one shape as one set."""
    return TaskSet(
        support=torch.cat([part.support for part in parts]),
        support_labels=torch.cat([part.support_labels for part in parts]),
        query=torch.cat([part.query for part in parts]),
        query_labels=torch.cat([part.query_labels for part in parts]),
        classes=torch.cat([part.classes for part in parts]),
    )
