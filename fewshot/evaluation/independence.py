"""Whether the prediction of a query depends on the other queries of its task, found out by trying.

A method is given one support set and, again and again, the same five queries beside others:
alone, in another order, among fewer, among copies, with queries of one class only, of classes that
the task does not have, and among outliers. If the method is inductive, the five get the same logits
each time, up to rounding errors.
"""

from __future__ import annotations

from math import inf, isfinite
from typing import NamedTuple

import torch
from torch import Tensor

from episodes.rng import generator
from episodes.tasks.task_set import TaskSet
from episodes.types import Labelled
from fewshot.heads.task_head import TaskClassifier, TaskHead
from fewshot.learners.base import Learner

N_WAY, SHOTS, QUERIES = 5, 3, 15
N_FEATURES = 64  # of a head's images
TOLERANCE = 1e-4  # of logits, in units of the range of the five queries' logits


class Independence(NamedTuple):
    """How much the logits of five queries changed with the other queries.

    Attributes:
        changes: largest change of a logit with each set of other queries, in units of the range of
            the logits.
    """

    changes: dict[str, float]

    @property
    def independent(self) -> bool:
        """Whether no change is larger than a rounding error; a logit that is not finite is one."""
        return all(change <= TOLERANCE for change in self.changes.values())

    @property
    def largest(self) -> str:
        """The set of other queries with which the logits changed most."""
        return max(self.changes, key=lambda name: _or_infinity(self.changes[name]))

    def __str__(self) -> str:
        n = N_WAY * QUERIES
        if self.independent:
            return f"a query gets the same logits alone, among {n} and among outliers"
        change = _or_infinity(self.changes[self.largest])
        by = f"by up to {change:.0%} of their range" if isfinite(change) else "and are not finite"
        return f"the logits of a query change with the others, {by} ({self.largest})"


def _or_infinity(value: float) -> float:
    return value if isfinite(value) else inf


@torch.no_grad()
def of_head(head: TaskHead) -> Independence:
    """Try a head on random features."""
    return _measure(head.on_pool(_features(N_FEATURES)))


@torch.no_grad()
def of_learner(learner: Learner) -> Independence:
    """Try a learner for `N_WAY` classes as it is evaluated: on features, or else on images."""
    learner.eval()
    if not learner.needs.images:
        return _measure(learner.on_pool(_features(learner.backbone.n_features)))
    images = _features(3)[..., None, None].expand(-1, -1, 16, 16) / 4
    images = images + 0.2 * torch.rand(images.shape, generator=generator(0, "independence", 1))

    def classify(tasks: TaskSet) -> Tensor:
        classifier = learner.adapt(Labelled(images[tasks.support[0]], tasks.support_labels[0]))
        return torch.stack([classifier(images[query]) for query in tasks.query])

    return _measure(classify)


def _measure(classify: TaskClassifier) -> Independence:
    """Compare the logits of one query of each class beside different other queries."""
    n = N_WAY * QUERIES
    crowd = N_WAY * SHOTS + torch.arange(n)  # queries of a class follow each other
    ours = crowd[::QUERIES]
    strangers, outliers = crowd + n, crowd + 2 * n
    one_class = crowd[:QUERIES].repeat(N_WAY)
    beside = {
        "in another order": crowd.roll(n // 2),
        "among copies": torch.cat([ours, ours[:1].repeat(n - N_WAY)]),
        "among queries of one class": torch.cat([ours, one_class[N_WAY:]]),
        "among other classes": torch.cat([ours, strangers[N_WAY:]]),
        "among outliers": torch.cat([ours, outliers[N_WAY:]]),
    }
    together = classify(_tasks(torch.stack([crowd, *beside.values()])))
    expected = together[0, ::QUERIES]
    logits = dict(zip(beside, together[1:, :N_WAY], strict=True))
    logits["in another order"] = together[1].roll(-(n // 2), 0)[::QUERIES]
    logits["alone"] = classify(_tasks(ours[:, None]))[:, 0]
    logits["among fewer"] = classify(_tasks(torch.cat([ours, crowd[-3:]])[None]))[0, :N_WAY]
    spread = expected.max() - expected.min()
    return Independence(
        {name: float((values - expected).abs().max() / spread) for name, values in logits.items()}
    )


def _tasks(query_TQ: Tensor) -> TaskSet:
    """Return tasks with the same support."""
    labels = torch.arange(N_WAY).repeat_interleave(SHOTS)
    nothing = torch.zeros_like(query_TQ)  # the labels of the queries, which no method reads
    support, labels, classes = (
        row.expand(len(query_TQ), -1)
        for row in (torch.arange(len(labels)), labels, torch.arange(N_WAY))
    )
    return TaskSet(support, labels, query_TQ, nothing, classes)


def _features(n_features: int) -> Tensor:
    """Return features, similar within a class: support, queries, strangers and outliers."""
    random = generator(0, "independence")
    centres = 2 * torch.rand(2 * N_WAY, n_features, generator=random)
    classes = torch.arange(N_WAY)
    task = torch.cat([classes.repeat_interleave(n) for n in (SHOTS, QUERIES)])
    strangers = N_WAY + classes.repeat_interleave(QUERIES)
    rows = centres[torch.cat([task, strangers])]
    noisy = (rows + torch.randn(rows.shape, generator=random)).relu()
    outliers = 50 * torch.rand(N_WAY * QUERIES, n_features, generator=random)
    return torch.cat([noisy, outliers])
