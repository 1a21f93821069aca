"""Count the correct queries of a method on many N-way k-shot tasks.

A head or a learner with a frozen body solves many tasks at once, on the features of the pool. A
learner whose body adapts to the support solves one task after another, on images. The loops wait
for the device only where a head tests whether its iteration has converged, every ten steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from episodes.tasks.task_set import TaskSet
from episodes.types import Labelled
from fewshot import progress
from fewshot.backbones import chunk_size
from fewshot.errors import Diverged
from fewshot.heads.task_head import TaskClassifier, TaskHead
from fewshot.learners.base import Learner
from fewshot.training import devices

# Features of the tasks that are solved at once: on a CPU as many as its caches hold, and on a GPU
# as many as occupy it.
CPU_BYTES, GPU_BYTES = 2**22, 2**28
MOST_TASKS = 2048  # solved at once

Load = Callable[[Tensor], Tensor]  # indices of images [n] -> images, float [n, c, h, w]


class Counts(NamedTuple):
    """What a method did on some tasks.

    Attributes:
        correct: number of correct queries of each task, int64 [t], on the CPU.
        n_queries: number of queries of each task, int64 [t].
        seconds: seconds of all tasks, without the features.
    """

    correct: Tensor
    n_queries: Tensor
    seconds: float


@torch.no_grad()
def of_head(
    head: TaskHead,
    features_ND: Tensor,
    tasks: Sequence[TaskSet],
    base_mean_D: Tensor | None = None,
) -> Counts:
    """Evaluate a head on the features of a pool.

    Args:
        head: the head.
        features_ND: features of the pool, float [n, d], on the device that computes.
        tasks: tasks whose indices point into the pool.
        base_mean_D: mean feature of the base classes, [d], on the device; None without them.

    Raises:
        Diverged: a logit is not finite.
    """
    return _on_features(
        lambda: head.on_pool(features_ND, base_mean_D), features_ND, tasks, head.at_once
    )


@torch.no_grad()
def of_learner(learner: Learner, features_ND: Tensor, tasks: Sequence[TaskSet]) -> Counts:
    """Evaluate a learner with a frozen body on the features of a pool; see `of_head`.

    Logits are taken as the learner gives them, without a prior. So a learner that also learns how
    frequent the classes are, by inner steps or by SGD on a support of unequal shots (`maml`,
    `baseline`), expects the same frequencies of the queries. The head `logistic` corrects this.
    """
    learner.eval()
    return _on_features(lambda: learner.on_pool(features_ND), features_ND, tasks, learner.at_once)


def _on_features(
    prepare: Callable[[], TaskClassifier],
    features_ND: Tensor,
    tasks: Sequence[TaskSet],
    at_once: int,
) -> Counts:
    device = features_ND.device
    limit = at_once * (GPU_BYTES if features_ND.is_cuda else CPU_BYTES)

    def size_of(some: TaskSet) -> int:
        n_images = some.support.shape[1] + some.query.shape[1]
        n_bytes = n_images * features_ND.shape[1] * features_ND.element_size()
        return min(MOST_TASKS, max(1, limit // n_bytes))

    return _count(prepare, [some.to(device) for some in tasks], size_of, device)


@torch.no_grad()
def of_images(
    learner: Learner, load: Load, tasks: Sequence[TaskSet], device: torch.device | str
) -> Counts:
    """Evaluate a learner on images, one task after another; without a prior, as `of_learner`.

    Args:
        learner: the learner, on the device.
        load: returns the images of the pool at some indices, on the device.
        tasks: tasks whose indices point into the pool.
        device: the device that computes.

    Raises:
        Diverged: a logit is not finite.
    """
    learner.eval()

    def solve(task: TaskSet) -> Tensor:
        support = Labelled(load(task.support[0]), task.support_labels[0].to(device))
        classify = learner.adapt(support)
        size = chunk_size(learner.backbone, support.images)
        return torch.cat([classify(load(part)) for part in task.query[0].split(size)])[None]

    return _count(lambda: solve, tasks, lambda _: 1, torch.device(device))


def _count(
    prepare: Callable[[], TaskClassifier],
    tasks: Sequence[TaskSet],
    size_of: Callable[[TaskSet], int],
    device: torch.device,
) -> Counts:
    """Solve all tasks in chunks, whose memory is bounded.

    Args:
        prepare: returns the function that solves a chunk.
        tasks: the tasks.
        size_of: returns how many of the tasks of a set are solved at once.
        device: the device that computes.
    """
    n_tasks = sum(map(len, tasks))
    started = devices.now(device)
    solve = prepare()
    finite = torch.ones((), dtype=torch.bool, device=device)
    correct: list[Tensor] = []
    done = 0
    for some in tasks:
        size = size_of(some)
        for start in range(0, len(some), size):
            chunk = some[start : start + size]
            logits = solve(chunk)
            finite &= logits.isfinite().all()
            predicted = logits.argmax(-1)
            correct.append((predicted == chunk.query_labels.to(predicted.device)).sum(-1))
            done += len(chunk)
            progress.update(f"task {done:,} of {n_tasks:,}")
    counts = torch.cat(correct).cpu()
    seconds = devices.now(device) - started
    if not finite:
        raise Diverged(
            "the logits of some tasks are not finite: the training diverged, or features are not "
            "finite."
        )
    sizes = [torch.full((len(some),), some.query.shape[1]) for some in tasks]
    return Counts(counts, torch.cat(sizes), seconds)
