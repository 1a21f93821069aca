"""Oracles: scikit-learn's logistic regression, the functions of the heads, and networks alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from episodes.rng import generator, seeded
from episodes.types import Labelled
from fewshot import backbones
from fewshot.config import BackboneSettings
from fewshot.heads import trainable
from fewshot.learners.finetune import FineTune, Options
from tests.fewshot.learners.small import features, network, random_images


@pytest.mark.parametrize("head", ["linear", "unit", "cosine"])
def test_preparing_starts_the_head_from_the_support(head: str) -> None:
    support, queries = features(3)
    learner = FineTune(network(), 3, head=head, scale=5.0)
    learner.head, expected = (trainable.build(learner.options, 10, 3) for _ in range(2))
    learner.prepare(support)
    trainable.start_from_support(expected, learner.options, support.images, support.labels, n_way=3)
    torch.testing.assert_close(learner.eval().head(queries), expected.eval()(queries))


def test_a_random_start_is_left_unchanged() -> None:
    support, _ = features(3)
    learner = FineTune(network(), 3, start="random")
    before = {name: value.clone() for name, value in learner.head.state_dict().items()}
    learner.prepare(support)
    after = learner.head.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_batch_norm_does_not_change_its_statistics_during_training() -> None:
    learner = FineTune(network("resnet", width=8), 3)
    before = {name: buffer.clone() for name, buffer in learner.named_buffers()}
    learner.train()
    learner.backbone(random_images(8, 3).images)
    assert all(torch.equal(before[name], buffer) for name, buffer in learner.named_buffers())


@torch.no_grad()
def change_as_training_does(module: nn.Module) -> None:
    random = generator(0, "change")
    for parameter in module.parameters():
        parameter.add_(0.05 * torch.randn(parameter.shape, generator=random))


def probe_probabilities(support: Tensor, labels: Tensor, queries: Tensor, c: float) -> np.ndarray:
    """Return the probabilities of a logistic regression on centred features of unit length."""
    centre = support.double().mean(0)
    unit, unit_queries = (
        nn.functional.normalize(value.double() - centre, dim=1).numpy()
        for value in (support, queries)
    )
    model = LogisticRegression(C=c, max_iter=1000).fit(unit, labels.numpy())
    return model.predict_proba(unit_queries)


@torch.no_grad()
def test_a_logistic_readout_is_fitted_to_the_trained_features() -> None:
    support, queries = random_images(18, 3), random_images(7, 3, seed=1).images
    learner = FineTune(network(), 3, head="unit", readout="logistic", readout_c=5.0).eval()
    change_as_training_does(learner.backbone)
    own, asked = learner.backbone(support.images), learner.backbone(queries)
    probabilities = learner.adapt(support)(queries).softmax(1).numpy()
    expected = probe_probabilities(own, support.labels, asked, c=5.0)
    np.testing.assert_allclose(probabilities, expected, atol=1e-3)


@torch.no_grad()
def test_a_probe_of_the_untrained_features_is_averaged_with_the_trained_head() -> None:
    support, queries = random_images(18, 3), random_images(7, 3, seed=1).images
    learner = FineTune(network(), 3, head="unit", probe_share=0.4, probe_c=2.0).eval()
    own, asked = learner.backbone(support.images), learner.backbone(queries)
    change_as_training_does(learner)
    result = learner.adapt(support)(queries).exp().numpy()
    trained = learner.head(learner.backbone(queries)).softmax(1).numpy()
    probe = probe_probabilities(own, support.labels, asked, c=2.0)
    np.testing.assert_allclose(result, 0.6 * trained + 0.4 * probe, atol=1e-3)


def test_the_untrained_network_is_not_saved_and_only_its_use_needs_the_support() -> None:
    plain, with_probe = FineTune(network(), 3), FineTune(network(), 3, probe_share=0.4)
    assert list(with_probe.state_dict()) == list(plain.state_dict())
    assert with_probe.needs.support
    assert not plain.needs.support


def prepared_ensemble(size: int) -> FineTune:
    with seeded(0, "test"):
        backbone = backbones.build(BackboneSettings(name="conv4"))
        learner = FineTune(backbone, 4, ensemble_size=size, head="unit", start="prototypes")
        learner.eval().prepare(Labelled(torch.rand(12, 3, 32, 32), torch.arange(12) % 4))
    return learner


def test_the_networks_of_an_ensemble_start_alike() -> None:
    images = torch.rand(6, 3, 32, 32)
    support = Labelled(images, torch.zeros(6))
    with torch.no_grad():
        ensemble, single = (
            prepared_ensemble(size).eval().adapt(support)(images) for size in (3, 1)
        )
    torch.testing.assert_close(ensemble.softmax(1), single.softmax(1))


def test_every_network_learns_from_its_part_of_the_batch_alone() -> None:
    """Two networks see eight of 17 images each, and neither sees the last."""
    images, labels = torch.rand(17, 3, 32, 32), torch.randint(4, (17,))
    ensemble = prepared_ensemble(2).train()
    loss = ensemble.loss(Labelled(images, labels))
    loss.backward()
    losses = []
    for number in range(2):
        single, own = prepared_ensemble(1).train(), slice(8 * number, 8 * number + 8)
        single_loss = single.loss(Labelled(images[own], labels[own]))
        single_loss.backward()
        losses.append(single_loss.item())
        for part, alone in (
            (ensemble.backbone.body.bodies[number], single.backbone.body),
            (ensemble.head.parts[number], single.head),
        ):
            for ours, theirs in zip(part.parameters(), alone.parameters(), strict=True):
                torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    assert loss.item() == pytest.approx(sum(losses) / 2, rel=1e-5)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_all_networks_see_a_batch_of_fewer_images_than_networks() -> None:
    batch = Labelled(torch.rand(2, 3, 32, 32), torch.tensor([0, 2]))
    ensemble, single = (prepared_ensemble(size).train().loss(batch).item() for size in (3, 1))
    assert ensemble == pytest.approx(single, rel=1e-5)


def test_an_ensemble_cannot_be_read_out_by_a_logistic_regression() -> None:
    with pytest.raises(ValueError, match="remove readout, or ensemble_size"):
        Options(ensemble_size=2, readout="logistic")
