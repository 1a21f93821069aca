"""Evaluate a learner on one task: adapt to the support set, classify the queries.

The low-data task is a single episode: its support is the labelled subset, its queries are the test
set. Evaluation is inductive: no query influences another, and no buffer is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from episodes.types import Labelled
from fewshot.learners.base import Classifier, Learner
from fewshot.training import devices


class Predictions(NamedTuple):
    """Logits float32 [n, n_way] and labels int64 [n], on the CPU."""

    logits: Tensor
    labels: Tensor


class Adapted(NamedTuple):
    """A classifier, and the seconds that the adaptation to the support set took."""

    classifier: Classifier
    seconds: float


@torch.no_grad()
def adapt(learner: Learner, support: Labelled) -> Adapted:
    """Adapt a learner to the support set, in evaluation mode, and measure the time."""
    learner.eval()
    device = support.images.device
    started = devices.now(device)
    classifier = learner.adapt(support)
    return Adapted(classifier, devices.now(device) - started)


@torch.no_grad()
def classify(classifier: Classifier, queries: Iterable[Labelled]) -> Predictions:
    """Classify queries that come in batches."""
    logits, labels = [], []
    for batch in queries:
        logits.append(classifier(batch.images).float())
        labels.append(batch.labels)
    # Copied together, so that a GPU does not wait after every batch.
    return Predictions(torch.cat(logits).cpu(), torch.cat(labels).cpu())


@torch.no_grad()
def extra_metrics(
    learner: Learner, queries: Iterable[Labelled], shift: Tensor | None = None
) -> dict[str, float]:
    """Return the means over the queries of what the learner reports about itself, by name.

    Args:
        learner: the learner, adapted to the support set.
        queries: labelled images, in batches.
        shift: what is added to the logits of each class for the prior, [n_way]; None for nothing.
    """
    if not learner.metric_names:
        return {}
    learner.eval()
    sums: dict[str, Tensor] = {}
    n = 0
    for batch in queries:
        own_shift = None if shift is None else shift.to(batch.images.device)
        for name, values in learner.extra_metrics(batch, own_shift).items():
            sums[name] = sums.get(name, 0) + values.double().sum()
        n += len(batch.labels)
    return {name: float(total) / n for name, total in sums.items()}
