"""Scores of logits on labelled images: accuracy, macro averages, loss, calibration, confusion."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

TEMPERATURES = 2.0 ** torch.linspace(-5, 5, 81)


class ClassifierScores(NamedTuple):
    """Scores of a classifier on a set of images.

    Attributes:
        accuracy, precision, recall, f1, ece: shares from 0 to 1; all but accuracy and the expected
            calibration error (ece) are macro averages over the classes that have images. The macro
            recall is also called balanced accuracy.
        loss: cross-entropy in nats.
        brier: mean over images of the squared errors of the probabilities, summed over classes.
        per_class: recall of each class, [n_way]; None for a class without images.
        confusion: counts, [true class][predicted class].
        clean_accuracy: accuracy without the images that are known to be faulty; None if no faults
            are known.
    """

    accuracy: float
    precision: float
    recall: float
    f1: float
    loss: float
    ece: float
    brier: float
    per_class: list[float | None]
    confusion: list[list[int]]
    clean_accuracy: float | None = None

    def numbers(self) -> dict[str, float]:
        """Return metric -> value, without the scores that have a value for each class."""
        clean = {} if self.clean_accuracy is None else {"clean_accuracy": self.clean_accuracy}
        return {
            "accuracy": self.accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "loss": self.loss,
            "ece": self.ece,
            "brier": self.brier,
            **clean,
        }


def scores(logits: Tensor, labels: Tensor, faulty: Tensor | None = None) -> ClassifierScores:
    """Score logits [n, n_way] against labels [n].

    Averages over classes are over those that have images. The precision of such a class that is
    never predicted counts as 0.

    Args:
        logits: float [n, n_way].
        labels: int64 [n].
        faulty: positions of images with known faults, int64 [m]; None if nothing is known.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    true, predicted = labels.numpy(), logits.argmax(1).numpy()
    ways = list(range(logits.shape[1]))
    tested = np.unique(true)
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, predicted, labels=tested, zero_division=0
    )
    recall_of = dict(zip(tested.tolist(), recall.tolist(), strict=True))
    loss = nn.functional.cross_entropy(logits.double(), labels)
    probabilities = torch.softmax(logits.double(), 1).numpy()
    clean = np.ones(len(true), dtype=bool)
    if faulty is not None:
        clean[faulty.numpy()] = False
    return ClassifierScores(
        accuracy=float((true == predicted).mean()),
        precision=float(precision.mean()),
        recall=float(recall.mean()),
        f1=float(f1.mean()),
        loss=float(loss),
        ece=calibration_error(probabilities, true),
        brier=brier_score(probabilities, true),
        per_class=[recall_of.get(way) for way in ways],
        confusion=confusion_matrix(true, predicted, labels=ways).tolist(),
        clean_accuracy=None if faulty is None else float((true == predicted)[clean].mean()),
    )


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, n_bins: int = 15) -> float:
    """Return the expected calibration error over bins ((m-1)/M, m/M] of confidence.

    Args:
        probabilities: [n, n_way].
        labels: int [n].
        n_bins: number of bins, M.

    Source: Guo et al., arXiv 1706.04599, equation 3.
    """
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.ceil(confidence * n_bins).astype(int) - 1
    gaps = np.bincount(bins, weights=correct - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(labels))


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the Brier score of probabilities [n, n_way], from 0 (right and sure) to 2.

    Source: Brier, Verification of forecasts expressed in terms of probability, Monthly Weather
    Review 78 (1), 1950.
    """
    errors = probabilities - np.eye(probabilities.shape[1])[labels]
    return float((errors**2).sum(1).mean())


def loss_and_accuracy(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None
) -> dict[str, float]:
    """Return the two scores that the log points of a training need, perhaps of weighted images."""
    if weights is None:
        loss = nn.functional.cross_entropy(logits, labels)
    else:
        loss = _mean(nn.functional.cross_entropy(logits, labels, reduction="none"), weights)
    return {"loss": float(loss), "accuracy": _accuracy(logits, labels, weights)}


def loss_at_best_temperature(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None
) -> dict[str, float]:
    """Return `loss_and_accuracy`, with the loss at the temperature that is best for these labels.

    A classifier that only becomes more confident during a training then gains nothing; one that
    separates the classes better does.

    Source: Guo et al., arXiv 1706.04599, section 4.
    """
    excess = logits - logits.gather(1, labels[:, None])
    losses = torch.stack([_mean((excess / value).logsumexp(1), weights) for value in TEMPERATURES])
    return {"loss": float(losses.min()), "accuracy": _accuracy(logits, labels, weights)}


def _accuracy(logits: Tensor, labels: Tensor, weights: Tensor | None) -> float:
    return float(_mean((logits.argmax(1) == labels).float(), weights))


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    return values.mean() if weights is None else (weights * values).sum() / weights.sum()
