"""How a run does on each class: the confusion matrix and the accuracy of each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fewshot.evaluation.statistics import Interval, summary
from fewshot.report.formatting import short_name, shortened
from fewshot.report.plots import style
from fewshot.runs.run_record import RunRecord

SPACIOUS = 12  # up to so many classes, the confusion matrix has large letters
NUMBERED = 20  # up to so many classes, the confusion matrix has numbers in its cells
Recalls = Sequence[Sequence[float | None]]  # [n_trials, n_way]; None without test images
NAMED = 40  # up to so many classes, both figures name every class


class Class(NamedTuple):
    """The accuracy of one class: mean, 95% interval over trials, and the value of each trial.

    `values` is empty and `interval` is None if the trials are not known. n: test images of
    the class.
    """

    name: str
    mean: float
    interval: Interval | None
    values: list[float]
    n: int


class Pair(NamedTuple):
    """A true class and a wrong prediction: test images (mean over trials), and their share."""

    true: str
    predicted: str
    images: float
    share: float


def counts_of_a_trial(record: RunRecord) -> np.ndarray:
    """Return the mean confusion matrix of the trials, in which each test image counts once."""
    return np.array(record.confusion) / record.times_tested


def images_heading(record: RunRecord) -> str:
    """Return the heading of a column with numbers of images from that matrix."""
    n = len(record.seeds)
    return "images" if n == 1 else f"images, mean over {n} trials"


def confused(record: RunRecord, longest: int = 10) -> list[Pair]:
    """Return the most frequent confusions by share of the true class, at most `longest`."""
    counts, names = counts_of_a_trial(record), record.classes
    shares = _shares(counts)
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:longest]
    pairs = []
    for true, predicted in zip(*np.unravel_index(order, shares.shape), strict=True):
        share = float(shares[true, predicted])
        if share > 0:
            images = float(counts[true, predicted])
            pairs.append(Pair(names[true], names[predicted], images, share))
    return pairs


def in_words(pairs: Sequence[Pair]) -> str:
    """Return a description of a confusion matrix for readers who cannot see it."""
    words = "Confusion matrix: true class by row, predicted class by column, in percent of the row."
    if not pairs:
        return words
    worst = pairs[0]
    return f"{words} The most frequent mistake is {worst.true} predicted as {worst.predicted}."


def _shares(counts: np.ndarray) -> np.ndarray:
    """Divide each row by its sum, [true, predicted]; a row without images stays 0."""
    total = counts.sum(1, keepdims=True)
    return counts / np.where(total > 0, total, 1)


@style.styled
def confusion(record: RunRecord, name: str = "") -> Any:
    """Draw the mean confusion matrix of the trials, in percent of each true class.

    Cells have numbers up to 20 classes, and every class is named up to 40. The colour follows the
    square root of the share, so that rare confusions are visible too. The rows of classes without
    test images are grey.

    Args:
        record: a record with `confusion`.
        name: what ran, if not as the record says.
    """
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    counts = counts_of_a_trial(record)
    names = [shortened(name, 18) for name in record.classes]
    n_way = len(names)
    shares = 100 * _shares(counts)
    figure, axes = style.new(style.WIDTH * 0.86)
    tested = np.where(counts.sum(1, keepdims=True) > 0, shares, np.nan)
    blues = colormaps[style.SEQUENTIAL].with_extremes(bad="0.85")
    image = axes.imshow(tested, cmap=blues, norm=PowerNorm(0.5, 0, 100))
    ticks = list(range(0, n_way, 1 if n_way <= NAMED else -(-n_way // 25)))
    size = style.TICK if n_way <= NUMBERED else style.SMALL
    if n_way <= SPACIOUS:
        size = style.LABEL
    shown = [names[tick] for tick in ticks]
    axes.set_xticks(ticks, shown, fontsize=size, rotation=90 if n_way > SPACIOUS else 45)
    axes.set_yticks(ticks, shown, fontsize=size)
    for label in axes.get_xticklabels() if n_way <= SPACIOUS else ():
        label.set(ha="right", rotation_mode="anchor")
    if n_way <= NUMBERED:
        _numbers(axes, counts, shares, lambda share: style.ink_on(image.cmap(image.norm(share))))
    axes.grid(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    bar = figure.colorbar(
        image, ax=axes, ticks=[0, 1, 5, 10, 25, 50, 75, 100], fraction=0.045, pad=0.02
    )
    bar.set_label("% of the images of the true class")
    n = len(record.seeds)
    trials = "1 trial" if n == 1 else f"mean over {n} trials"
    axes.set_title(f"{name or _run(record)}: confusion matrix, {trials}")
    return figure


def _numbers(
    axes: Any, counts: np.ndarray, shares: np.ndarray, ink: Callable[[float], str]
) -> None:
    """Write the share into each cell that holds an image, in the colour `ink` of the share."""
    size = style.LABEL if len(counts) <= SPACIOUS else style.SMALL
    for row, column in zip(*np.nonzero(counts), strict=True):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{share + 1e-9:.0f}" if share >= 0.5 else "<1",
            ha="center",
            va="center",
            fontsize=size,
            color=ink(share),
        )


def accuracies(record: RunRecord, trials: Recalls | None = None) -> list[Class]:
    """Return the accuracy of every class with test images, in the order of the record.

    Args:
        record: a record with `confusion` and `per_class`.
        trials: the accuracies of each trial, from which the intervals follow.
    """
    counts = counts_of_a_trial(record).sum(1)
    result = []
    for number, (name, mean) in enumerate(zip(record.classes, record.per_class, strict=True)):
        if mean is None:
            continue
        values = [value for trial in trials or () if (value := trial[number]) is not None]
        interval = summary(values, record.test_to_train).over_trials() if values else None
        result.append(Class(name, mean, interval, values, round(counts[number])))
    return result


def shown_classes(classes: Sequence[Class]) -> list[Class]:
    """Return the classes, the most accurate first; of more than 40 only the ends.

    Beyond 40 classes these are the 20 most and the 20 least accurate ones.
    """
    ordered = sorted(classes, key=lambda one: -one.mean)
    half = NAMED // 2
    return ordered if len(ordered) <= NAMED else ordered[:half] + ordered[-half:]


@style.styled
def per_class(record: RunRecord, trials: Recalls | None = None) -> Any:
    """Draw the accuracy of each class with its 95% interval, and the trials as small points."""
    shown = shown_classes(accuracies(record, trials))
    left_out = int(np.count_nonzero(np.sum(record.confusion, axis=1))) - len(shown)
    figure, axes = style.new(1.2 + 0.26 * len(shown))
    rows = np.arange(len(shown))
    means = 100 * np.array([one.mean for one in shown])
    axes.barh(rows, means, height=0.62, color=style.BLUE, alpha=0.35, linewidth=0)
    for row, one in zip(rows, shown, strict=True):
        if one.interval is not None:
            ends = [100 * end for end in one.interval]
            axes.plot(ends, [row, row], color=style.BLUE, linewidth=2)
        if len(one.values) > 1:
            values = [100 * value for value in one.values]
            axes.plot(values, [row] * len(values), ".", color="0.25", markersize=4)
        mean = f"{100 * one.mean:.1f}"
        axes.annotate(mean, (101.5, row), va="center", fontsize=style.TICK, annotation_clip=False)
    _overall(axes, 100 * record.scores["accuracy"].mean)
    if left_out:
        middle = NAMED / 2 - 0.5
        axes.axhline(middle, color=style.GREY, linestyle=":")
        words = f"{left_out} classes in between are not shown"
        axes.annotate(words, (1, middle), fontsize=style.TICK, color="0.35", va="bottom")
    axes.set_yticks(rows, [shortened(one.name) for one in shown])
    axes.set_ylim(len(shown) - 0.4, -1.2)
    axes.set_xlim(0, 100)
    axes.grid(False, axis="y")
    axes.set_xlabel("accuracy on the test images of the class, %")
    interval = "mean and 95% interval" if len(shown[0].values) > 1 else "mean"
    axes.set_title(f"{_run(record)}: accuracy of each class, {interval} over trials")
    return figure


def _overall(axes: Any, accuracy: float) -> None:
    """Draw a vertical line at the accuracy on all test images."""
    on_the_left = accuracy > 50
    axes.axvline(accuracy, color=style.ORANGE, linestyle="--", linewidth=1)
    axes.annotate(
        f"all test images {accuracy:.1f}",
        (accuracy, -0.75),
        ha="right" if on_the_left else "left",
        fontsize=style.TICK,
        color=style.ORANGE,
        xytext=(-3 if on_the_left else 3, 0),
        textcoords="offset points",
        va="center",
    )


def _run(record: RunRecord) -> str:
    return f"{short_name(record)} on {shortened(record.data)}"
