"""The loops of learn2learn's examples beside ours, for `benchmarks.episodes`."""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks import common

WAYS, QUERIES, N_TASKS = 5, 15, 2000
META_BATCH, META_STEPS, INNER_LR, META_LR = 4, 2, 0.01, 0.003
ANIL_LR, ANIL_STEPS, ANIL_TASKS = 0.1, 5, 100
WEIGHTS = {"mini-resnet": "pretrained", "conv4": "none"}


class Features(NamedTuple):
    """Features of CIFAR-10's test images, float [10,000, d], and their labels."""

    features: Any
    labels: Any


def cifar10_features(body: str) -> Features:
    """Return the features of a body, from the cache if they are there."""
    import torch

    from episodes import datasets
    from episodes.rng import seeded
    from fewshot import backbones
    from fewshot.config import BackboneSettings
    from fewshot.features import frozen

    test = datasets.load("cifar10").test
    with seeded(0, "benchmark"):
        network = backbones.build(BackboneSettings(name=body, weights=WEIGHTS[body]))
    rows = torch.arange(len(test))
    return Features(frozen.cached(network.eval(), test, rows, "cpu").features.features, test.labels)


def conv4_learner(width: int | None, **options: Any) -> Any:
    """Return MAML as in the original paper: a learned head, no centring, no scaling.

    Args:
        width: the number of given features; None for the conv4 that learns from images.
        **options: more settings of `maml`.
    """
    import torch

    from episodes.rng import seeded
    from fewshot import backbones
    from fewshot.learners.maml import MAML

    with seeded(0, "benchmark"):
        backbone = backbones.build("conv4", options={"norm": "group"})
        if width is not None:
            backbone.n_body_features = width
        learner = MAML(
            backbone, n_way=WAYS, head="learned", centre=False, normalise=False, scale=1.0,
            order="second", **options,
        )  # fmt: skip
        torch.nn.init.normal_(learner.head.weight, std=0.01)
    return learner


def example_loop(maml: Any, tasks: list[Any], inner_steps: int, trained: list[Any]) -> None:
    """Train in meta-batches, in the order of operations of learn2learn's example."""
    import torch

    optimiser = torch.optim.Adam(trained, META_LR)
    cross_entropy = torch.nn.CrossEntropyLoss()
    for first in range(0, len(tasks), META_BATCH):
        optimiser.zero_grad()
        for support, query, _ in tasks[first : first + META_BATCH]:
            learner = maml.clone()
            for _ in range(inner_steps):
                learner.adapt(cross_entropy(learner(support.images), support.labels))
            error = cross_entropy(learner(query.images), query.labels)
            error.backward()
            error.item()  # the example adds up errors for its log
        for parameter in trained:
            parameter.grad.mul_(1 / META_BATCH)
        optimiser.step()


def our_loop(learner: Any, tasks: list[Any], trainable: str) -> None:
    """Train by the command's trainer, on the same tasks in the same order."""
    from fewshot.config import Train
    from fewshot.training import trainer

    settings = Train(
        steps=len(tasks) // META_BATCH, tasks_per_step=META_BATCH, lr=META_LR,
        optimizer={"name": "adam"}, lr_multipliers={"log_scale": 0.0},
        phases=({"trainable": trainable},), schedule={"name": "constant"},
    )  # fmt: skip
    trainer.fit(learner, tasks.__getitem__, settings, steps_per_epoch=1.0)


def image_tasks(n_tasks: int) -> list[Any]:
    """Return 5-way 5-shot tasks with five queries per class, of CIFAR-10's training images."""
    import torch

    from episodes import augment, datasets, streams

    train = datasets.load("cifar10").train
    pool = streams.pool(train, torch.arange(len(train)), "cpu")
    stream = streams.episodes(pool, WAYS, 5, 5, augment.build((), 10), seed=0)
    return [stream(step) for step in range(n_tasks)]


def maml(inner_steps: int, rounds: int) -> dict[str, Any]:
    """Compare meta-training conv4 with learn2learn's MAML in its example's loop."""
    import learn2learn
    import torch

    tasks = image_tasks(META_BATCH * META_STEPS)

    def ours() -> list[Any]:
        learner = conv4_learner(
            None, inner_trainable="all", inner_lr=INNER_LR, inner_steps=inner_steps
        )
        our_loop(learner, tasks, "all")
        return [*learner.backbone.parameters(), *learner.head.parameters()]

    def theirs() -> list[Any]:
        start = conv4_learner(None, inner_trainable="all").train()
        network = torch.nn.Sequential(start.backbone, start.head)
        wrapped = learn2learn.algorithms.MAML(network, lr=INNER_LR)
        example_loop(wrapped, tasks, inner_steps, list(wrapped.parameters()))
        return list(network.parameters())

    for one, other in zip(ours(), theirs(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    n = len(tasks)
    return common.in_turns({"fewshot": (ours, n), "learn2learn": (theirs, n)}, rounds)


def feature_tasks(pool: Features) -> tuple[Any, list[Any]]:
    """Return 5-way 5-shot tasks as indices, and the first of them as features too."""
    from episodes.tasks import sampling
    from episodes.types import Episode, Features, Labelled

    tasks = sampling.fixed(pool.labels, ways=WAYS, shots=5, queries=QUERIES, count=N_TASKS, seed=0)
    values = pool.features.as_subclass(Features)
    few = tasks[:ANIL_TASKS]
    sides = (few.support, few.support_labels, few.query, few.query_labels, few.classes)
    items = [
        Episode(Labelled(values[s], s_labels), Labelled(values[q], q_labels), classes)
        for s, s_labels, q, q_labels, classes in zip(*sides, strict=True)
    ]
    return tasks, items


def anil(body: str, rounds: int) -> dict[str, Any]:
    """Compare ANIL on cached features: the evaluation, and the training of the initial head."""
    import learn2learn
    import torch
    from torch.nn.functional import cross_entropy

    from fewshot.evaluation import episodic

    pool = cifar10_features(body)
    width = pool.features.shape[1]
    tasks, few = feature_tasks(pool)
    options = {"inner_trainable": "head", "inner_lr": ANIL_LR, "inner_steps": ANIL_STEPS}
    n_training = 10 * META_BATCH
    learner = conv4_learner(width, **options).eval()
    head = learn2learn.algorithms.MAML(conv4_learner(width, **options).head, lr=ANIL_LR)

    def theirs() -> list[int]:
        correct = []
        for support, query, _ in few:
            model = head.clone()
            for _ in range(ANIL_STEPS):
                model.adapt(cross_entropy(model(support.images), support.labels))
            correct.append(int((model(query.images).argmax(1) == query.labels).sum()))
        return correct

    def train_ours() -> list[Any]:
        start = conv4_learner(width, **options)
        our_loop(start, few[:n_training], "head")
        return list(start.head.parameters())

    def train_theirs() -> list[Any]:
        start = learn2learn.algorithms.MAML(conv4_learner(width, **options).head, lr=ANIL_LR)
        example_loop(start, few[:n_training], ANIL_STEPS, list(start.parameters()))
        return list(start.parameters())

    for one, other in zip(train_ours(), train_theirs(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    counts = episodic.of_learner(learner, pool.features, (tasks,)).correct.tolist()
    assert theirs() == counts[:ANIL_TASKS], "the accuracies of some tasks differ"
    evaluation = {
        "fewshot": (lambda: episodic.of_learner(learner, pool.features, (tasks,)), N_TASKS),
        "learn2learn": (theirs, ANIL_TASKS),
    }
    training = {
        "fewshot": (train_ours, n_training),
        "learn2learn": (train_theirs, n_training),
    }
    return {
        "evaluation": common.in_turns(evaluation, rounds),
        "training": common.in_turns(training, rounds),
    }
