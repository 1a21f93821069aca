"""Baseline and Baseline++: scikit-learn's logistic regression, numpy cosines, and a task alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from episodes.types import Labelled
from fewshot.learners.base import Task
from fewshot.learners.baseline import Baseline, Options
from tests.fewshot.learners.small import features, network, random_images


def test_the_training_classifies_all_base_classes() -> None:
    """The loss of a batch is scikit-learn's log loss of the head's probabilities."""
    learner = Baseline.from_config(network(), Task(5, n_base=7), Options(head="cosine", scale=4.0))
    images, labels = random_images(6, 3).images, torch.tensor([0, 3, 6, 2, 5, 1])
    learner.eval()
    loss = learner.loss(Labelled(images, labels)).item()
    with torch.no_grad():
        x, weight = learner.backbone(images).numpy(), learner.head.weight.numpy()
    cosines = x @ weight.T / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(weight, axis=1)
    odds = np.exp(4.0 * cosines)
    assert loss == pytest.approx(
        log_loss(labels, odds / odds.sum(1, keepdims=True), labels=range(7)), rel=1e-4
    )


def test_without_base_classes_the_training_is_of_the_task() -> None:
    assert Baseline.from_config(network(), Task(5), Options()).head[-1].out_features == 5


def test_a_linear_head_converges_to_logistic_regression() -> None:
    """Weight decay w on the mean loss is C = 1 / (w * n); the bias decays like a weight of ones."""
    support, queries = features(4)
    settings = {"adapt_epochs": 3000, "adapt_batch": 24, "adapt_lr": 0.03, "adapt_decay": 0.05}
    logits = Baseline(network(), 2, **settings).eval().adapt(support)(queries)
    strength = 1 / (0.05 * len(support.labels))
    theirs = LogisticRegression(C=strength, fit_intercept=False, max_iter=10_000, tol=1e-8)
    with_ones = [np.hstack([x.numpy(), np.ones((len(x), 1))]) for x in (support.images, queries)]
    theirs.fit(with_ones[0], support.labels.numpy())
    expected = theirs.predict_log_proba(with_ones[1])
    np.testing.assert_allclose(logits.log_softmax(1).numpy(), expected, atol=0.01)


def test_many_tasks_at_once_are_the_tasks_one_by_one() -> None:
    learner = Baseline(network(), 2, head="cosine", adapt_epochs=20).eval()
    (one, queries), (other, _) = features(4), features(4)
    other = Labelled(other.images.flip(0).as_subclass(type(other.images)), other.labels.flip(0))
    supports = [one, other]
    together = learner.task_logits(
        torch.stack([support.images.as_subclass(torch.Tensor) for support in supports]),
        torch.stack([support.labels for support in supports]),
        torch.stack([queries.as_subclass(torch.Tensor)] * 2),
        4,
    )
    for logits, support in zip(together, supports, strict=True):
        torch.testing.assert_close(logits, learner.adapt(support)(queries), rtol=1e-4, atol=1e-4)


def test_adapting_in_training_mode_leaves_batch_norm_as_it_is() -> None:
    learner = Baseline(network(norm="batch", width=8), 3).train()
    norms = [module for module in learner.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    learner.adapt(random_images(6, 3))
    assert norms
    assert all(norm.training for norm in norms)
    assert all(
        torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, before, strict=True)
    )
