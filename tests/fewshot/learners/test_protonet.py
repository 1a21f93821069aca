"""Prototypical networks against the formula, one query and one class at a time."""

from __future__ import annotations

import pytest
import torch

from episodes.rng import seeded
from fewshot import backbones
from fewshot.learners import protonet
from fewshot.learners.base import Task
from tests.fewshot.learners.small import features, network


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_protonet_follows_its_formula(distance: str) -> None:
    support, queries = features(4)
    learner = protonet.ProtoNet.from_config(
        network(), Task(4), protonet.Options(distance=distance, scale=3.0)
    ).eval()
    logits = learner.adapt(support)(queries)
    for n, query in enumerate(queries):
        for way in range(4):
            mean = support.images[support.labels == way].mean(0)
            if distance == "euclidean":
                expected = (
                    -3.0
                    * sum((float(a) - float(b)) ** 2 for a, b in zip(query, mean, strict=True))
                    / len(query)
                )
            else:
                expected = 3.0 * float(query @ mean / (query.norm() * mean.norm()))
            assert logits[n, way].item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_batch_norm_keeps_its_statistics() -> None:
    with seeded(0, "test"):
        backbone = backbones.build("resnet", options={"width": 8})
    learner = protonet.ProtoNet.from_config(backbone, Task(3), protonet.Options())
    before = {name: buffer.clone() for name, buffer in learner.named_buffers()}
    learner.train()
    learner.backbone(torch.rand(8, 3, 32, 32))
    assert all(torch.equal(before[name], buffer) for name, buffer in learner.named_buffers())
