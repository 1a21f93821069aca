"""Counts of correct queries against loops over tasks and queries in numpy, and `adapt` itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from episodes.tasks.task_set import TaskSet
from episodes.types import Features, Labelled
from fewshot import backbones, progress
from fewshot.errors import Diverged
from fewshot.evaluation import episodic
from fewshot.heads import HEADS
from fewshot.learners import MAML, ProtoNet
from tests.fewshot.heads.tasks import Pool, random_tasks

BODY = {"width": 4, "norm": "group"}


def nearest_mean(pool: Pool, tasks: TaskSet) -> list[int]:
    """Return the correct queries of each task by the nearest mean, in loops."""
    features = pool.features.numpy()
    counts = []
    for task in range(len(tasks)):
        support, labels = tasks.support[task].numpy(), tasks.support_labels[task].numpy()
        means = [features[support[labels == way]].mean(0) for way in range(tasks.n_way)]
        correct = 0
        for image, label in zip(tasks.query[task], tasks.query_labels[task], strict=True):
            distances = [np.sum((features[image] - mean) ** 2) for mean in means]
            correct += int(np.argmin(distances) == int(label))
        counts.append(correct)
    return counts


@pytest.mark.parametrize("n_bytes", [1, 20_000, 2**22])
@pytest.mark.parametrize("unequal", [False, True])
def test_counts_of_a_head_are_those_of_loops(
    n_bytes: int, unequal: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(episodic, "CPU_BYTES", n_bytes)
    pool = random_tasks(n_tasks=7, unequal=unequal)
    head = HEADS["nearest-mean"](features="UN")
    counts = episodic.of_head(head, pool.features, (pool.tasks,))
    expected = nearest_mean(pool, pool.tasks)
    assert counts.correct.tolist() == expected
    assert 0 < sum(expected) < 7 * 75  # neither chance nor trivial
    assert counts.n_queries.tolist() == [pool.tasks.query.shape[1]] * 7
    assert counts.seconds > 0


def test_tasks_of_different_shape_stay_in_order():
    first = random_tasks(n_tasks=3, n_way=5)
    others = random_tasks(n_tasks=2, n_way=4, n_queries=6, seed=1)
    offset = len(first.features)
    moved = TaskSet(
        others.tasks.support + offset,
        others.tasks.support_labels,
        others.tasks.query + offset,
        others.tasks.query_labels,
        others.tasks.classes,
    )
    features = torch.cat([first.features, others.features])
    head = HEADS["nearest-mean"](features="UN")
    counts = episodic.of_head(head, features, (first.tasks, moved[:1], moved[1:]))
    expected = nearest_mean(first, first.tasks) + nearest_mean(others, others.tasks)
    assert counts.correct.tolist() == expected
    assert counts.n_queries.tolist() == [75] * 3 + [24] * 2


def test_the_base_mean_reaches_the_head():
    pool = random_tasks(n_tasks=4, shots=1)
    centre = torch.linspace(-3, 3, pool.features.shape[1])
    head = HEADS["nearest-mean"](features="CL2N")
    counts = episodic.of_head(head, pool.features, (pool.tasks,), centre)
    centred = pool.features.numpy() - centre.numpy()
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    assert counts.correct.tolist() == nearest_mean(
        Pool(torch.from_numpy(centred), pool.tasks), pool.tasks
    )


def test_counts_of_a_learner_are_those_of_adapt_on_features_and_on_images():
    torch.manual_seed(0)
    images = torch.rand(90, 3, 8, 8)
    images[::3, 0] += 0.2
    images[1::3, 1] += 0.2
    labels = torch.arange(90) % 3
    order = torch.stack([torch.randperm(30) * 3 for _ in range(4)])
    support = torch.cat([order[:, :2] + way for way in range(3)], 1)
    query = torch.cat([order[:, 2:9] + way for way in range(3)], 1)
    tasks = TaskSet(
        support, labels[support], query, labels[query], torch.arange(3).expand(4, -1).clone()
    )
    learner = ProtoNet(backbones.build("conv4", options=BODY)).eval()
    with torch.no_grad():
        features = learner.backbone(images)
    on_features = episodic.of_learner(learner, features, (tasks,))
    on_images = episodic.of_images(learner, lambda some: images[some], (tasks,), "cpu")
    expected = []
    for task in range(4):
        classify = learner.adapt(
            Labelled(features[support[task]].as_subclass(Features), labels[support[task]])
        )
        logits = classify(features[query[task]].as_subclass(Features))
        expected.append(int((logits.argmax(1) == labels[query[task]]).sum()))
    assert on_features.correct.tolist() == expected
    assert on_images.correct.tolist() == expected
    assert 4 < sum(expected) < 84


def test_a_learner_whose_body_adapts_changes_nothing_of_itself():
    torch.manual_seed(0)
    learner = MAML(backbones.build("conv4", options=BODY), n_way=2, inner_trainable="all")
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    images = torch.rand(12, 3, 8, 8)
    tasks = TaskSet(
        torch.tensor([[0, 1]]),
        torch.tensor([[0, 1]]),
        torch.tensor([[2, 3, 4, 5]]),
        torch.tensor([[0, 1, 0, 1]]),
        torch.tensor([[0, 1]]),
    )
    counts = episodic.of_images(learner, lambda some: images[some], (tasks,), "cpu")
    assert 0 <= counts.correct.item() <= 4
    after = learner.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_logits_that_are_not_finite_are_an_error():
    pool = random_tasks(n_tasks=3)
    features = pool.features.clone()
    features[pool.tasks.query[2, 0]] = math.nan
    with pytest.raises(Diverged, match="not finite"):
        episodic.of_head(HEADS["nearest-mean"](features="UN"), features, (pool.tasks,))


def test_progress_is_shown():
    shown: list[str] = []
    pool = random_tasks(n_tasks=3)
    with progress.shown_by(shown.append):
        episodic.of_head(HEADS["nearest-mean"](), pool.features, (pool.tasks,))
    assert shown[-1] == "task 3 of 3"


@pytest.mark.gpu
def test_counts_on_a_gpu_are_those_on_the_cpu():
    pool = random_tasks(n_tasks=50)
    head = HEADS["nearest-mean"]()
    here = episodic.of_head(head, pool.features, (pool.tasks,))
    there = episodic.of_head(head, pool.features.cuda(), (pool.tasks,))
    difference: Tensor = (here.correct - there.correct).abs()
    assert int(difference.sum()) <= 2  # sums in another order
