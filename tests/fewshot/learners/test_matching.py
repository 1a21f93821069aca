"""Oracles: easyfsl's MatchingNetworks on the same features, and the paper's formula in loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.types import Episode, Features, Labelled
from fewshot.learners import matching
from fewshot.learners.matching import Matching
from tests.fewshot.learners.small import features, network, random_images


class NoContext(nn.Module):
    """Stands for easyfsl's context networks, which add what this returns to the features."""

    def forward(self, values: Tensor, state: tuple[Tensor, Tensor] | None = None):
        if state is not None:
            return torch.zeros_like(state[0]), state[1]
        return torch.cat([torch.zeros_like(values)] * 2, -1), None


def test_logits_are_those_of_easyfsl_without_context() -> None:
    methods = pytest.importorskip("easyfsl.methods")
    support, queries = features(4)
    learner = Matching(network(), scale=3.0).eval()
    theirs = methods.MatchingNetworks(
        feature_dimension=10, support_encoder=NoContext(), query_encoder=NoContext()
    )
    theirs.process_support_set(support.images.as_subclass(Tensor), support.labels)
    # They do not scale queries to unit length and have no factor.
    expected = theirs(3.0 * F.normalize(queries.as_subclass(Tensor), dim=1))
    result = learner.adapt(support)(queries).log_softmax(1)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)  # they add 1e-6 to p


@pytest.mark.parametrize("removed", [0, 5])
def test_probabilities_follow_the_formula(removed: int) -> None:
    """With unequal classes, the attention to a class is divided by its number of images."""
    support, queries = features(3)
    rows = torch.cat(
        [torch.nonzero(support.labels > 0)[:, 0], torch.arange(0, 18 - 3 * removed, 3)]
    )
    images, labels = support.images[rows], support.labels[rows]
    learner = Matching(network(), scale=4.0).eval()
    logits = learner.adapt(Labelled(images, labels))(queries)
    for row, query in zip(logits.softmax(1), queries, strict=True):
        attention = [0.0, 0.0, 0.0]
        for image, label in zip(images, labels.tolist(), strict=True):
            cosine = float(query @ image / (query.norm() * image.norm()))
            attention[label] += math.exp(4.0 * cosine) / labels.tolist().count(label)
        expected = torch.tensor(attention) / sum(attention)
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)


def test_all_tasks_at_once_are_the_tasks_one_by_one() -> None:
    tasks = [features(n_way=4, per_class=5) for _ in range(2)] + [features(4, per_class=5)]
    support = torch.stack([task.images * (i + 1) ** 0.5 + i for i, (task, _) in enumerate(tasks)])
    orders = torch.stack(
        [torch.randperm(20, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    )
    labels = torch.stack(
        [task.labels[order] for (task, _), order in zip(tasks, orders, strict=True)]
    )
    queries = torch.stack([query for _, query in tasks])
    learner = Matching(network()).eval()
    together = learner.task_logits(support, labels, queries, 4)
    for number in range(3):
        one = Labelled(support[number].as_subclass(Features), labels[number])
        alone = learner.adapt(one)(queries[number].as_subclass(Features))
        torch.testing.assert_close(together[number], alone)


def test_many_queries_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    support, queries = features(4)
    learner = Matching(network()).eval()
    whole = learner.adapt(support)(queries)
    monkeypatch.setattr(matching, "PAIRS_AT_ONCE", 5 * len(support.labels))
    torch.testing.assert_close(learner.adapt(support)(queries), whole)


def test_the_loss_is_the_cross_entropy_of_the_queries_and_the_scale_is_learned() -> None:
    support, queries = features(3)
    learner = Matching(network(), scale=7.0)
    assert learner.log_scale.item() == pytest.approx(math.log(7.0))
    episode = Episode(support, Labelled(queries, support.labels), torch.arange(3))
    loss = learner.loss(episode)
    log_probabilities = learner.adapt(support)(queries).log_softmax(1)
    expected = -sum(log_probabilities[i, label] for i, label in enumerate(support.labels)) / 18
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert learner.log_scale.grad is not None


def test_batch_norm_does_not_change_its_statistics_during_training() -> None:
    learner = Matching(network("resnet", width=8))
    before = {name: buffer.clone() for name, buffer in learner.named_buffers()}
    learner.train()
    learner.backbone(random_images(8, 3).images)
    assert all(torch.equal(before[name], buffer) for name, buffer in learner.named_buffers())
