"""Evaluation of stub learners whose predictions and metrics are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from episodes.types import Labelled
from fewshot.evaluation import low_data, metrics
from tests.fewshot import easy


def test_queries_are_classified_in_batches_as_float32() -> None:
    logits = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(300) % 5
    batches = [Labelled(*part) for part in zip(logits.split(70), labels.split(70), strict=True)]
    half = low_data.classify(lambda images: images.to(torch.bfloat16), batches)
    assert half.logits.dtype == torch.float32
    assert torch.equal(half.logits, logits.to(torch.bfloat16).float())
    assert torch.equal(half.labels, labels)
    quick, whole = metrics.loss_and_accuracy(logits, labels), metrics.scores(logits, labels)
    assert quick == pytest.approx({"loss": whole.loss, "accuracy": whole.accuracy})


def test_a_learner_adapts_once_in_evaluation_mode_and_without_gradients() -> None:
    class Doubling(easy.Stub):
        def adapt(self, support: Labelled):
            assert not self.training
            assert not torch.is_grad_enabled()
            self.support = support
            return lambda images: images * 2

    learner, support = Doubling(), Labelled(torch.rand(5, 3), torch.arange(5) % 3)
    classifier, seconds = low_data.adapt(learner, support)
    assert learner.support is support
    assert torch.equal(classifier(support.images), 2 * support.images)
    assert 0 <= seconds < 1


def test_extra_metrics_are_means_over_images_and_not_over_batches() -> None:
    class Measuring(easy.Stub):
        metric_names = ("even", "size")

        def extra_metrics(self, batch: Labelled, shift: Tensor | None = None) -> dict[str, Tensor]:
            return {"even": batch.labels % 2 == 0, "size": batch.images.sum(1)}

    labels = torch.tensor([0, 2, 4, 1, 3])
    images = torch.arange(10.0).reshape(5, 2)
    batches = [Labelled(images[:4], labels[:4]), Labelled(images[4:], labels[4:])]
    assert low_data.extra_metrics(Measuring(), batches) == {"even": 3 / 5, "size": 45 / 5}
    assert low_data.extra_metrics(easy.Stub(), batches) == {}
