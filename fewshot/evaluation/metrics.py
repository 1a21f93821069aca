"""Scores of a classifier on labelled images: accuracy, macro precision, recall and F1, loss, calibration, confusion."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from episodes.types import Labelled
from fewshot.learners.base import Classifier, Learner

TEMPERATURES = 2.0 ** torch.linspace(-5, 5, 81)


class Judged(NamedTuple):
    """logits float32 [n, n_way] and labels int64 [n], on the CPU; seconds that adapting to the support took."""

    logits: Tensor
    labels: Tensor
    adapt_seconds: float


class TestScores(NamedTuple):
    """Shares in 0..1 but loss (nats); recall of each class [n_way]; confusion [true, predicted] counts."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    loss: float
    ece: float
    per_class: list[float]
    confusion: list[list[int]]

    def numbers(self) -> dict[str, float]:
        return {
            key: getattr(self, key)
            for key in ("accuracy", "precision", "recall", "f1", "loss", "ece")
        }


@torch.no_grad()
def classify(classifier: Classifier, queries: Iterable[Labelled]) -> tuple[Tensor, Tensor]:
    """Logits float32 [n, n_way] and labels int64 [n], on the CPU, of queries that come in batches."""
    logits, labels = [], []
    for batch in queries:
        logits.append(classifier(batch.images).float().cpu())
        labels.append(batch.labels.cpu())
    return torch.cat(logits), torch.cat(labels)


@torch.no_grad()
def judge(
    learner: Learner, support: Labelled, queries: Iterable[Labelled]
) -> tuple[Classifier, Judged]:
    """Adapt to the support and classify the queries; inductive: no query sees another, no buffer is written."""
    learner.eval()
    began = time.perf_counter()
    classifier = learner.adapt(support)
    if support.images.is_cuda:
        torch.cuda.synchronize(support.images.device)
    seconds = time.perf_counter() - began
    return classifier, Judged(*classify(classifier, queries), seconds)


@torch.no_grad()
def measures(learner: Learner, queries: Iterable[Labelled]) -> dict[str, float]:
    """Means over the queries of what the learner measures of itself, by name; empty where it measures nothing."""
    if not learner.metric_names:
        return {}
    learner.eval()
    sums: dict[str, Tensor] = {}
    n = 0
    for batch in queries:
        for name, values in learner.extra_metrics(batch).items():
            sums[name] = sums.get(name, 0) + values.double().sum()
        n += len(batch.labels)
    return {name: float(total) / n for name, total in sums.items()}


def scores(logits: Tensor, labels: Tensor) -> TestScores:
    """Scores of logits [n, n_way] against labels [n]; precision, recall, F1 are macro averages, 0 where undefined."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    n_way = logits.shape[1]
    y, guess = labels.numpy(), logits.argmax(1).numpy()
    ways = list(range(n_way))
    precision, recall, f1, _ = precision_recall_fscore_support(
        y, guess, labels=ways, zero_division=0
    )
    loss = nn.functional.cross_entropy(logits.double(), labels)
    return TestScores(
        accuracy=float((y == guess).mean()),
        precision=float(precision.mean()),
        recall=float(recall.mean()),
        f1=float(f1.mean()),
        loss=float(loss),
        ece=calibration_error(torch.softmax(logits.double(), 1).numpy(), y),
        per_class=recall.tolist(),
        confusion=confusion_matrix(y, guess, labels=ways).tolist(),
    )


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, n_bins: int = 15) -> float:
    """Expected calibration error over bins ((m-1)/M, m/M] of confidence (Guo et al., arXiv 1706.04599, eq. 3)."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.ceil(confidence * n_bins).astype(int) - 1
    gaps = np.bincount(bins, weights=right - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(labels))


def quick(classifier: Classifier, queries: Iterable[Labelled]) -> dict[str, Any]:
    """Loss and accuracy alone, for the log points of a training."""
    logits, labels = classify(classifier, queries)
    return {
        "loss": float(nn.functional.cross_entropy(logits, labels)),
        "accuracy": float((logits.argmax(1) == labels).float().mean()),
    }


def tempered(classifier: Classifier, queries: Iterable[Labelled]) -> dict[str, Any]:
    """As `quick`, the loss at the temperature that is best for these queries (Guo et al., arXiv 1706.04599, section 4).

    Confidence that grows over a training then is no gain by itself; what tells the classes apart is.
    """
    logits, labels = classify(classifier, queries)
    right = logits.gather(1, labels[:, None])
    excess = torch.stack([((logits - right) / each).logsumexp(1).mean() for each in TEMPERATURES])
    return {
        "loss": float(excess.min()),
        "accuracy": float((logits.argmax(1) == labels).float().mean()),
    }
