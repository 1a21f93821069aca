"""Fine-tuning: first predictions and readouts against scikit-learn and formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import normalize

from episodes.rng import seeded
from episodes.types import Labelled
from fewshot import backbones
from fewshot.heads import trainable
from fewshot.learners import finetune
from fewshot.learners.base import Task
from tests.fewshot.learners.small import features, network


@pytest.mark.parametrize("n_way", [2, 5])
@pytest.mark.parametrize("per_class", [1, 6])
def test_the_linear_head_starts_as_nearest_prototype(n_way: int, per_class: int) -> None:
    support, queries = features(n_way, per_class)
    learner = finetune.FineTune.from_config(
        network(), Task(n_way), finetune.Options(head="linear", scale=5.0)
    )
    learner.head = trainable.linear(10, n_way)
    learner.prepare(support)
    logits = learner.eval().head(queries)
    x, y = support.images.numpy(), support.labels.numpy()
    means = np.stack([x[y == way].mean(0) for way in range(n_way)])
    squares = ((queries.numpy()[:, None] - means) ** 2).sum(-1)
    assert (logits.argmax(1).numpy() == squares.argmin(1)).all()
    distances = squares / ((x - x.mean(0)) ** 2).sum(1).mean()
    ours = torch.log_softmax(logits.double(), 1).detach().numpy()
    expected = torch.log_softmax(torch.from_numpy(-5.0 * distances).double(), 1).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)


def test_the_cosine_head() -> None:
    support, queries = features(3)
    learner = finetune.FineTune.from_config(
        network(), Task(3), finetune.Options(head="cosine", scale=7.0)
    )
    learner.head = trainable.CosineHead(10, 3, scale=7.0)
    learner.prepare(support)
    x, y = normalize(support.images.numpy()), support.labels.numpy()
    means = normalize(np.stack([x[y == way].mean(0) for way in range(3)]))
    logits = learner.eval().head(queries).detach().numpy()
    np.testing.assert_allclose(
        logits, 7.0 * normalize(queries.numpy()) @ means.T, rtol=1e-4, atol=1e-4
    )
    assert learner.head.log_scale.item() == pytest.approx(math.log(7.0))


@pytest.mark.parametrize("start", [None, "probe", "prototypes"])
def test_the_unit_head_starts_as_scikit_learns_classifier(start: str | None) -> None:
    support, queries = features(3)
    learner = finetune.FineTune.from_config(
        network(), Task(3), finetune.Options(head="unit", start=start, c=3.0)
    )
    learner.head = trainable.UnitHead(10, 3)
    learner.prepare(support)
    mean, y = support.images.numpy().mean(0), support.labels.numpy()
    x, q = normalize(support.images.numpy() - mean), normalize(queries.numpy() - mean)
    logits = learner.eval().head(queries).detach()
    if start != "prototypes":
        expected = LogisticRegression(C=3.0, max_iter=1000).fit(x, y).predict_proba(q)
        np.testing.assert_allclose(torch.softmax(logits, 1).numpy(), expected, atol=1e-3)
    else:
        assert (logits.argmax(1).numpy() == NearestCentroid().fit(x, y).predict(q)).all()


def test_a_logistic_readout_is_fitted_to_the_features_as_they_are_now() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(6)
    support = Labelled(torch.rand(18, 3, 16, 16, generator=generator), labels)
    queries = torch.rand(7, 3, 16, 16, generator=generator)
    options = finetune.Options(head="unit", readout="logistic", readout_c=5.0)
    learner = finetune.FineTune.from_config(network(), Task(3), options).eval()
    with torch.no_grad():
        for parameter in learner.backbone.parameters():  # as a training changes them
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        raw, asked = learner.backbone(support.images).double(), learner.backbone(queries).double()
        result = learner.adapt(support)(queries)
    units = [
        value / value.norm(dim=1, keepdim=True)
        for value in (raw - raw.mean(0), asked - raw.mean(0))
    ]
    slow = LogisticRegression(C=5.0, max_iter=1000).fit(units[0].numpy(), labels.numpy())
    np.testing.assert_allclose(
        result.softmax(1).numpy(), slow.predict_proba(units[1].numpy()), atol=1e-3
    )


def test_a_probe_of_the_untrained_features_answers_beside_the_trained_head() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(6)
    support = Labelled(torch.rand(18, 3, 16, 16, generator=generator), labels)
    queries = torch.rand(7, 3, 16, 16, generator=generator)
    learner = finetune.FineTune.from_config(
        network(), Task(3), finetune.Options(head="unit", probe_share=0.4, probe_c=2.0)
    ).eval()
    with torch.no_grad():
        raw, asked = learner.backbone(support.images).double(), learner.backbone(queries).double()
        for parameter in learner.parameters():  # as a training changes them
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        result = learner.adapt(support)(queries)
        trained = learner.head(learner.backbone(queries)).softmax(1).numpy()
    units = [
        value / value.norm(dim=1, keepdim=True)
        for value in (raw - raw.mean(0), asked - raw.mean(0))
    ]
    slow = LogisticRegression(C=2.0, max_iter=1000).fit(units[0].numpy(), labels.numpy())
    expected = 0.6 * trained + 0.4 * slow.predict_proba(units[1].numpy())
    np.testing.assert_allclose(result.exp().numpy(), expected, atol=1e-3)
    plain = finetune.FineTune.from_config(network(), Task(3), finetune.Options(head="unit"))
    assert list(learner.state_dict()) == list(plain.state_dict())
    assert learner.needs.support
    assert not plain.needs.support


def test_batch_norm_keeps_its_statistics() -> None:
    with seeded(0, "test"):
        backbone = backbones.build("resnet", options={"width": 8})
    learner = finetune.FineTune.from_config(backbone, Task(3), finetune.Options())
    before = {name: buffer.clone() for name, buffer in learner.named_buffers()}
    learner.train()
    learner.backbone(torch.rand(8, 3, 32, 32))
    assert all(torch.equal(before[name], buffer) for name, buffer in learner.named_buffers())
