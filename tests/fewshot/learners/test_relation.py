"""Oracles: easyfsl's RelationNetworks with the same module, loops, and a distance written out."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.rng import seeded
from episodes.types import Episode, Features, Labelled
from fewshot.config import Train
from fewshot.learners.relation import Relation
from fewshot.training import trainer
from tests.fewshot.learners.small import features, network, random_images


def relation(width: int = 10, **options) -> Relation:
    """Return the learner for features of a width, with weights that are not those of the start."""
    backbone = network()
    backbone.n_body_features = width
    with seeded(0, "test"):
        learner = Relation(backbone, hidden=16, **options)
        for parameter in (*learner.compare.parameters(), learner.relate.weight):
            nn.init.normal_(parameter)
    return learner.eval()


def scaled(values: Tensor) -> Tensor:
    return values / values.square().mean(1, keepdim=True).sqrt()


class Module(nn.Module):
    """The relation module for easyfsl: feature maps of one pixel, [n, 2 d, 1, 1] -> [n, 1]."""

    def __init__(self, learner: Relation) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, pairs: Tensor) -> Tensor:
        prototypes, queries = (scaled(part) for part in pairs.flatten(1).chunk(2, 1))
        hidden = F.relu(self.learner.compare(torch.cat([queries, prototypes], 1)))
        return self.learner.relate(hidden)


def test_logits_are_those_of_easyfsl_with_the_same_relation_module() -> None:
    methods = pytest.importorskip("easyfsl.methods")
    support, queries = features(4)
    learner = relation()
    theirs = methods.RelationNetworks(feature_dimension=10, relation_module=Module(learner))
    theirs.process_support_set(support.images.as_subclass(Tensor)[:, :, None, None], support.labels)
    expected = theirs(queries.as_subclass(Tensor)[:, :, None, None])
    torch.testing.assert_close(learner.adapt(support)(queries), expected, rtol=1e-4, atol=1e-4)


def test_logits_follow_the_formula_pair_by_pair() -> None:
    support, queries = features(3)
    learner = relation()
    logits = learner.adapt(support)(queries)
    w, b, out = (
        value.detach().numpy()
        for value in (learner.compare.weight, learner.compare.bias, learner.relate.weight[0])
    )
    for row, query in zip(logits, queries, strict=True):
        for label in range(3):
            mean = support.images[support.labels == label].mean(0)
            sides = [side / side.square().mean().sqrt() for side in (query, mean)]
            pair = torch.cat(sides).numpy()
            expected = sum(out[j] * max(0.0, float(w[j] @ pair + b[j])) for j in range(len(out)))
            assert row[label].item() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_the_start_is_a_distance_between_unit_vectors() -> None:
    """The mean over random directions of the absolute difference, times the scale."""
    support, queries = features(4)
    backbone = network()
    backbone.n_body_features = 10
    with seeded(0, "test"):
        learner = Relation(backbone, hidden=4096, scale=5.0).eval()
    logits = learner.adapt(support)(queries)
    means = torch.stack([support.images[support.labels == label].mean(0) for label in range(4)])
    distances = torch.cdist(*(F.normalize(part.as_subclass(Tensor)) for part in (queries, means)))
    # E|r . x| = sqrt(2 / pi) |x| for a normal r; 2,048 directions leave about 2% of noise.
    torch.testing.assert_close(logits, -5.0 * (2 / torch.pi) ** 0.5 * distances, rtol=0.1, atol=0.1)


def test_all_tasks_at_once_are_the_tasks_one_by_one() -> None:
    tasks = [features(n_way=4, per_class=5) for _ in range(3)]
    support = torch.stack([task.images + number for number, (task, _) in enumerate(tasks)])
    orders = [torch.randperm(20, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    labels = torch.stack([tasks[0][0].labels[order] for order in orders])
    queries = torch.stack([query for _, query in tasks])
    learner = relation()
    together = learner.task_logits(support, labels, queries, 4)
    for number in range(3):
        one = Labelled(support[number].as_subclass(Features), labels[number])
        alone = learner.adapt(one)(queries[number].as_subclass(Features))
        torch.testing.assert_close(together[number], alone, rtol=1e-4, atol=1e-4)


PIXELS, LABELS = (torch.from_numpy(value) for value in load_digits(return_X_y=True))


def digits_task(step: int, classes: range, images: range) -> Episode:
    """Return a 3-way 5-shot task of digits, whose 64 pixels stand beside 64 values of noise."""
    random = torch.Generator().manual_seed(step)
    noise = 32 * torch.rand(len(PIXELS), 64, generator=torch.Generator().manual_seed(0))
    values = torch.cat([PIXELS.float(), noise], 1)
    chosen = torch.tensor(classes)[torch.randperm(len(classes), generator=random)[:3]]
    rows = []
    for label in chosen:
        of_class = torch.nonzero(LABELS[images.start : images.stop] == label)[:, 0] + images.start
        rows.append(of_class[torch.randperm(len(of_class), generator=random)][:15])
    support, query = (
        Labelled(
            values[torch.cat(part)].as_subclass(Features), torch.arange(3).repeat_interleave(n)
        )
        for part, n in (([row[:5] for row in rows], 5), ([row[5:] for row in rows], 10))
    )
    return Episode(support, query, chosen)


def test_it_learns_to_ignore_noise_also_for_classes_that_it_was_not_trained_on() -> None:
    backbone = network()
    backbone.n_body_features = 128
    with seeded(0, "test"):
        learner = Relation(backbone, hidden=128)

    def accuracy(classes: range) -> float:
        """Return the accuracy on tasks of images that are not trained on."""
        right = []
        with torch.no_grad():
            for step in range(60):
                task = digits_task(step, classes, range(1000, 1797))
                logits = learner.eval().adapt(task.support)(task.query.images)
                right.append((logits.argmax(1) == task.query.labels).float().mean())
        return torch.stack(right).mean().item()

    base, novel = range(6), range(6, 10)
    before = accuracy(base), accuracy(novel)
    head = {"trainable": "head"}
    settings = Train(steps=150, lr=0.002, optimizer={"name": "adamw"}, phases=(head,))
    trainer.fit(learner, lambda step: digits_task(1000 + step, base, range(1000)), settings, 1.0)
    after = accuracy(base), accuracy(novel)
    assert min(before) > 0.45, before  # a distance; chance is 1/3
    assert after[0] > before[0] + 0.2, (before, after)
    assert after[1] > before[1], (before, after)


def test_the_loss_is_the_cross_entropy_of_the_queries() -> None:
    support, queries = features(3)
    learner = relation()
    episode = Episode(support, Labelled(queries, support.labels), torch.arange(3))
    log_probabilities = learner.adapt(support)(queries).log_softmax(1)
    expected = -sum(log_probabilities[i, label] for i, label in enumerate(support.labels)) / 18
    torch.testing.assert_close(learner.loss(episode), expected)


def test_batch_norm_does_not_change_its_statistics_during_training() -> None:
    learner = Relation(network("resnet", width=8))
    before = {name: buffer.clone() for name, buffer in learner.named_buffers()}
    learner.train()
    learner.backbone(random_images(8, 3).images)
    assert all(torch.equal(before[name], buffer) for name, buffer in learner.named_buffers())
