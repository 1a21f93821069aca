"""Whether confidence equals accuracy: the reliability diagram.

Source: Guo et al., arXiv 1706.04599, figure 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fewshot.evaluation.statistics import summary
from fewshot.report.formatting import counted
from fewshot.report.plots import style

BINS = 15  # as for the ECE of a record


class Bins(NamedTuple):
    """For each of M bins of confidence: images, summed confidence, correct images."""

    counts: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error (equation 3)."""
        return float(np.abs(self.correct - self.confidence).sum() / self.counts.sum())


def bins(probabilities: np.ndarray, labels: np.ndarray, n_bins: int = BINS) -> Bins:
    """Sort the predictions of one trial into bins by the confidence in the predicted class.

    Args:
        probabilities: [n, n_way].
        labels: [n].
        n_bins: the number of bins, M.
    """
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels
    indices = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    return Bins(*(np.bincount(indices, weights, n_bins) for weights in (None, confidence, correct)))


def together(trials: Sequence[Bins]) -> Bins:
    """Return the images of all trials in one set of bins."""
    return Bins(*np.sum(trials, axis=0))


@style.styled
def reliability(trials: Sequence[Bins], title: str = "", test_to_train: float = 0.0) -> Any:
    """Draw accuracy against confidence bin by bin, and below it the number of images of each bin.

    The images of all trials are drawn together. The ECE in the title is computed for each trial:
    mean ± half of its 95% interval over trials.

    Args:
        trials: the bins of each trial.
        title: what the predictions are of.
        test_to_train: of a cross-validated run, as in `statistics.summary`.
    """
    counts, confidence, correct = together(trials)
    n_bins, n = len(counts), int(counts.sum())
    middles, width = (np.arange(n_bins) + 0.5) / n_bins, 0.92 / n_bins
    from matplotlib.figure import Figure

    figure = Figure(figsize=(style.WIDTH * 0.8, style.WIDTH * 0.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    some = counts > 0
    accuracy, mean_confidence = correct[some] / counts[some], confidence[some] / counts[some]
    _upper(upper, middles[some], width, accuracy, mean_confidence)
    figure.legend(loc="outside upper center", ncols=3)
    error = summary([trial.error for trial in trials], test_to_train)
    over = f" over {counted(error.n, 'trial')}" if error.n > 1 else ""
    upper.set_title(f"{title}{': ' if title else ''}ECE {error.text('.3f')}{over}")
    lower.bar(middles, 100 * counts / n, width, color="0.55", linewidth=0)
    lower.set_ylabel("% of images")
    lower.set_xlabel(f"confidence: probability of the predicted class; {n:,} predictions")
    for x, count in zip(middles[some], counts[some], strict=True):
        place = (x, 100 * count / n)
        lower.annotate(f"{int(count):,}", place, ha="center", va="bottom", fontsize=style.SMALL)
    lower.margins(y=0.2)
    return figure


@style.styled
def grid(rows: Sequence[Sequence[tuple[str, Bins]]]) -> Any:
    """Draw accuracy against confidence in a grid of panels, each with its title and bins.

    The area of the dots is the share of the images, so that bins of few images say little.
    """
    from matplotlib.figure import Figure

    n_columns = len(rows[0])
    size = style.WIDTH / n_columns
    figure = Figure(figsize=(style.WIDTH, size * len(rows) * 1.1), layout="constrained")
    panels = figure.subplots(len(rows), n_columns, sharex=True, sharey=True, squeeze=False)
    for line, row in zip(panels, rows, strict=True):
        for axes, (title, (counts, confidence, correct)) in zip(line, row, strict=True):
            some = counts > 0
            axes.plot([0, 1], [0, 1], color="0.4", linestyle="--", linewidth=1)
            axes.plot(confidence[some] / counts[some], correct[some] / counts[some], linewidth=1)
            axes.scatter(
                confidence[some] / counts[some],
                correct[some] / counts[some],
                s=200 * counts[some] / counts.sum(),
                color=style.BLUE,
                alpha=0.7,
            )
            error = Bins(counts, confidence, correct).error
            axes.set_title(f"{title}: ECE {error:.3f}", fontsize=style.TICK)
            axes.set(xlim=(0, 1), ylim=(0, 1.03))
    for axes in panels[:, 0]:
        axes.set_ylabel("accuracy")
    for axes in panels[-1]:
        axes.set_xlabel("confidence")
    return figure


def _upper(
    axes: Any, middles: np.ndarray, width: float, accuracy: np.ndarray, confidence: np.ndarray
) -> None:
    axes.bar(middles, accuracy, width, color=style.BLUE, alpha=0.6, linewidth=0, label="accuracy")
    axes.plot(
        middles,
        confidence,
        "_",
        color=style.ORANGE,
        markersize=14,
        markeredgewidth=2,
        label="mean confidence",
    )
    for x, low, high in zip(middles, accuracy, confidence, strict=True):
        axes.plot([x, x], [low, high], color=style.ORANGE, linewidth=1)
    axes.plot([0, 1], [0, 1], color="0.4", linestyle="--", linewidth=1, label="calibrated")
    axes.set_ylim(0, 1)
    axes.set_xlim(0, 1)
    axes.set_ylabel("accuracy")
