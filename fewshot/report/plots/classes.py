"""What a run takes for what: the confusion matrix with class names, the accuracy of each class with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fewshot.evaluation.statistics import summary
from fewshot.report.plots.style import BLUE, GREY, VERMILION, WIDTH, blank, short
from fewshot.runs.records import Record

ON_PALE = "#111111"  # numbers on pale cells, also on a dark page, where what is black becomes white
NUMBERED = 20  # classes up to which the confusion matrix has numbers in its cells
NAMED = 40  # classes up to which both figures name every class


class Class(NamedTuple):
    """One class: share of its test images that were right, in every draw and their mean, half the 95% interval.

    values is empty, and half None, where the draws are not known; n: test images of all draws together.
    """

    name: str
    mean: float
    half: float | None
    values: list[float]
    n: int


class Pair(NamedTuple):
    """How often images of one class are taken for another: count, and as a share of all images of the true class."""

    true: str
    predicted: str
    images: int
    share: float


def confused(record: Record, most: int = 10) -> list[Pair]:
    """The pairs of classes that are confused most often by share, at most `most`, without those that never are."""
    counts, names = np.array(record["confusion"]), record["classes"]
    shares = _shares(counts)
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:most]
    pairs = [
        (int(true), int(said))
        for true, said in zip(*np.unravel_index(order, shares.shape), strict=True)
    ]
    return [
        Pair(names[true], names[said], int(counts[true, said]), float(shares[true, said]))
        for true, said in pairs
        if shares[true, said] > 0
    ]


def in_words(pairs: Sequence[Pair]) -> str:
    """What a confusion matrix shows, for who cannot see it; pairs as `confused` gives them."""
    most = f" Most often {pairs[0].true} is taken for {pairs[0].predicted}." if pairs else ""
    return f"Confusion matrix: true class by row, predicted class by column, in percent of the true class.{most}"


def _shares(counts: np.ndarray) -> np.ndarray:
    """Each row divided by its sum, [true, predicted]; a row without images stays 0."""
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def confusion(record: Record) -> Any:
    """Figure: of the images of each true class (row), the percentage taken for each class (column), over all draws.

    Up to 20 classes with numbers in the cells, up to 40 with every class's name, beyond that with some of them.
    The colour is that of the root of the share, so that few confusions are seen too.
    """
    from matplotlib.colors import PowerNorm

    counts, names = np.array(record["confusion"]), [short(name, 18) for name in record["classes"]]
    n_way = len(names)
    shares = 100 * _shares(counts)
    figure, axes = blank(WIDTH * 0.86)
    picture = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 100))
    ticks = list(range(0, n_way, 1 if n_way <= NAMED else -(-n_way // 25)))
    size = 9 if n_way <= 12 else 8 if n_way <= NUMBERED else 7
    axes.set_xticks(
        ticks, [names[tick] for tick in ticks], fontsize=size, rotation=90 if n_way > 12 else 45
    )
    axes.set_yticks(ticks, [names[tick] for tick in ticks], fontsize=size)
    for label in axes.get_xticklabels() if n_way <= 12 else ():
        label.set(ha="right", rotation_mode="anchor")
    if n_way <= NUMBERED:
        for row, column in zip(*np.nonzero(counts), strict=True):
            share = shares[row, column]
            axes.text(
                column, row, f"{share + 1e-9:.0f}" if share >= 0.5 else "<1", ha="center", va="center",
                fontsize=9 if n_way <= 12 else 6.5, color="white" if share > 35 else ON_PALE,
            )  # fmt: skip
    axes.grid(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    bar = figure.colorbar(
        picture, ax=axes, ticks=[0, 1, 5, 10, 25, 50, 75, 100], fraction=0.045, pad=0.02
    )
    bar.set_label("% of the true class's images", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    axes.set_title(f"{_whose(record)}: what is taken for what, {_draws(record)}", fontsize=10)
    return figure


def accuracies(record: Record, draws: Sequence[Sequence[float]] | None = None) -> list[Class]:
    """Every class, in the record's order; draws [n_draws, n_way]: each draw's accuracies, for the intervals (t)."""
    counts = np.array(record["confusion"]).sum(1)
    found = []
    for number, (name, mean) in enumerate(zip(record["classes"], record["per_class"], strict=True)):
        values = [float(draw[number]) for draw in draws or ()]
        half = summary(values).ci95 if values else None
        found.append(Class(name, mean, half, values, int(counts[number])))
    return found


def some(found: Sequence[Class]) -> list[Class]:
    """The classes that have test images, most accurate first; of more than 40 the 20 most and the 20 least accurate."""
    ordered = sorted((each for each in found if each.n), key=lambda each: -each.mean)
    half = NAMED // 2
    return ordered if len(ordered) <= NAMED else ordered[:half] + ordered[-half:]


def per_class(record: Record, draws: Sequence[Sequence[float]] | None = None) -> Any:
    """Figure: each class's accuracy, its 95% interval over the draws and, small, the draws themselves."""
    shown = some(accuracies(record, draws))
    left_out = int(np.count_nonzero(np.sum(record["confusion"], axis=1))) - len(shown)
    figure, axes = blank(1.2 + 0.26 * len(shown))
    rows = np.arange(len(shown))
    means = 100 * np.array([each.mean for each in shown])
    axes.barh(rows, means, height=0.62, color=BLUE, alpha=0.35, linewidth=0)
    for row, each in zip(rows, shown, strict=True):
        if each.half is not None:
            low, high = 100 * max(0, each.mean - each.half), 100 * min(1, each.mean + each.half)
            axes.plot([low, high], [row, row], color=BLUE, linewidth=2)
        if len(each.values) > 1:
            axes.plot(
                [100 * value for value in each.values],
                [row] * len(each.values),
                ".",
                color="0.25",
                markersize=4,
            )
        axes.annotate(
            f"{100 * each.mean:.1f}", (101.5, row), va="center", fontsize=8, annotation_clip=False
        )
    overall = 100 * record["scores"]["accuracy"]["mean"]
    axes.axvline(overall, color=VERMILION, linestyle="--", linewidth=1)
    axes.annotate(
        f"all test images {overall:.1f}", (overall, -0.75), ha="right" if overall > 50 else "left", fontsize=8,
        color=VERMILION, xytext=(-3 if overall > 50 else 3, 0), textcoords="offset points", va="center",
    )  # fmt: skip
    if left_out:
        axes.axhline(NAMED / 2 - 0.5, color=GREY, linestyle=":")
        axes.annotate(
            f"{left_out} classes between",
            (1, NAMED / 2 - 0.5),
            fontsize=8,
            color="0.35",
            va="bottom",
        )
    axes.set_yticks(
        rows, [short(each.name) for each in shown], fontsize=9 if len(shown) <= 20 else 8
    )
    axes.set_ylim(len(shown) - 0.4, -1.2)
    axes.set_xlim(0, 100)
    axes.grid(False, axis="y")
    axes.set_xlabel("accuracy on the class's test images, %")
    told = "mean and 95% interval over draws" if shown[0].half is not None else "mean over draws"
    axes.set_title(f"{_whose(record)}: accuracy of each class, {told}", fontsize=10)
    return figure


def _whose(record: Record) -> str:
    return f"{record['method']} on {short(record['data'])}"


def _draws(record: Record) -> str:
    n = len(record["seeds"])
    return f"{n} draws together" if n > 1 else "one draw"
