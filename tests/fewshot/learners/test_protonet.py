"""Oracle: the formulas of prototypical networks, one query and one class at a time."""

from __future__ import annotations

import math

import pytest
import torch

from episodes.types import Episode, Labelled
from fewshot.learners.protonet import ProtoNet
from tests.fewshot.learners.small import features, network, random_images


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_logits_follow_the_formula(distance: str) -> None:
    support, queries = features(4)
    learner = ProtoNet(network(), distance=distance, scale=3.0).eval()
    logits = learner.adapt(support)(queries)
    for row, query in zip(logits, queries, strict=True):
        for label in range(4):
            mean = support.images[support.labels == label].mean(0)
            if distance == "euclidean":
                square = sum((float(a) - float(b)) ** 2 for a, b in zip(query, mean, strict=True))
                expected = -3.0 * square / len(query)
            else:
                expected = 3.0 * float(query @ mean / (query.norm() * mean.norm()))
            assert row[label].item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_the_loss_is_the_cross_entropy_of_the_queries() -> None:
    support, queries = features(3)
    labels = torch.arange(3).repeat(6)
    learner = ProtoNet(network()).eval()
    episode = Episode(support, Labelled(queries, labels), torch.arange(3))
    logits = learner.adapt(support)(queries)
    log_probabilities = torch.log_softmax(logits, 1)
    expected = -sum(log_probabilities[i, label] for i, label in enumerate(labels)) / len(labels)
    torch.testing.assert_close(learner.loss(episode), expected)


def test_the_scale_is_learned() -> None:
    support, queries = features(3)
    learner = ProtoNet(network(), scale=7.0)
    assert learner.log_scale.item() == pytest.approx(math.log(7.0))
    episode = Episode(support, Labelled(queries, support.labels), torch.arange(3))
    learner.loss(episode).backward()
    assert learner.log_scale.grad is not None


def test_batch_norm_does_not_change_its_statistics_during_training() -> None:
    learner = ProtoNet(network("resnet", width=8))
    before = {name: buffer.clone() for name, buffer in learner.named_buffers()}
    learner.train()
    learner.backbone(random_images(8, 3).images)
    assert all(torch.equal(before[name], buffer) for name, buffer in learner.named_buffers())
