"""Whether a run is right as often as it says: the reliability diagram (Guo et al., arXiv 1706.04599, figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fewshot.evaluation.statistics import summary
from fewshot.report.plots.style import BLUE, VERMILION, WIDTH

BINS = 15  # as in the record's ECE


class Bins(NamedTuple):
    """Of each bin ((m-1)/M, m/M] of confidence: images [M], and sums over them, of confidence and of those right."""

    counts: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error (equation 3)."""
        return float(np.abs(self.right - self.confidence).sum() / self.counts.sum())


def bins(probabilities: np.ndarray, labels: np.ndarray, n_bins: int = BINS) -> Bins:
    """One draw's predictions, probabilities [n, n_way] and labels [n], by the confidence in the predicted class."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    return Bins(*(np.bincount(place, weights, n_bins) for weights in (None, confidence, right)))


def together(draws: Sequence[Bins]) -> Bins:
    """The images of all draws in one set of bins."""
    return Bins(*np.sum(draws, axis=0))


def reliability(draws: Sequence[Bins], title: str = "") -> Any:
    """Figure: accuracy against confidence, bin by bin, all draws' images together; below, how many images a bin has.

    The ECE is each draw's own: mean, and standard deviation over draws.
    """
    from matplotlib.figure import Figure

    counts, confidence, right = together(draws)
    n_bins, n = len(counts), int(counts.sum())
    middles, width = (np.arange(n_bins) + 0.5) / n_bins, 0.92 / n_bins
    some = counts > 0
    figure = Figure(figsize=(WIDTH * 0.8, WIDTH * 0.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for axes in (upper, lower):
        axes.grid(True, alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
    accuracy, said = right[some] / counts[some], confidence[some] / counts[some]
    upper.bar(
        middles[some],
        accuracy,
        width,
        color=BLUE,
        alpha=0.6,
        linewidth=0,
        label="share that is right",
    )
    upper.plot(
        middles[some],
        said,
        "_",
        color=VERMILION,
        markersize=14,
        markeredgewidth=2,
        label="mean confidence",
    )
    for x, low, high in zip(middles[some], accuracy, said, strict=True):
        upper.plot([x, x], [low, high], color=VERMILION, linewidth=1)
    upper.plot([0, 1], [0, 1], color="0.4", linestyle="--", linewidth=1, label="as sure as right")
    upper.set_ylim(0, 1)
    upper.set_xlim(0, 1)
    upper.set_ylabel("accuracy")
    figure.legend(fontsize=9, frameon=False, loc="outside upper center", ncols=3)
    found = summary([each.error for each in draws])
    spread = f" ± {found.std:.3f} (std over {len(draws)} draws)" if found.std is not None else ""
    upper.set_title(f"{title}{': ' if title else ''}ECE {found.mean:.3f}{spread}", fontsize=10)
    lower.bar(middles, 100 * counts / n, width, color="0.55", linewidth=0)
    lower.set_ylabel("% of images")
    lower.set_xlabel(
        f"confidence: probability of the predicted class, {n_bins} bins; {n:,} predictions",
        fontsize=9,
    )
    for x, count in zip(middles[some], counts[some], strict=True):
        lower.annotate(
            f"{int(count):,}", (x, 100 * count / n), ha="center", va="bottom", fontsize=6.5
        )
    lower.margins(y=0.2)
    return figure
