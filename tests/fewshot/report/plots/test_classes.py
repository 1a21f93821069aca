"""Figures by class against counts over the saved predictions, one image at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewshot.report.inspection import run_files
from fewshot.report.plots import classes
from tests.fewshot.expected_intervals import half_over_trials, score_interval
from tests.fewshot.report.handmade import record
from tests.fewshot.report.saved_run import counted, saved


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_confusion_matrix_counts_the_predictions(run: Path) -> None:
    ours, counts = run_files.read(run).record, counted(run)
    figure = classes.confusion(ours)
    shown = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    for true in range(10):
        for predicted in range(10):
            share = 100 * counts[true][predicted] / sum(counts[true])
            words = None if not share else "<1" if share < 0.5 else str(math.floor(share + 0.5))
            assert shown.get((predicted, true)) == words
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        str(digit) for digit in range(10)
    ]
    pairs = [
        (counts[a][b] / sum(counts[a]), -a, -b) for a in range(10) for b in range(10) if a != b
    ]
    expected = [
        (str(-a), str(-b), counts[-a][-b] / 2, share)  # mean over the two trials
        for share, a, b in sorted(pairs, reverse=True)
        if share
    ][:10]
    assert [tuple(pair) for pair in classes.confused(ours)] == [
        (*pair[:3], pytest.approx(pair[3])) for pair in expected
    ]
    assert classes.counts_of_a_trial(ours).sum() == len(saved(run, 0)[1])
    assert figure.axes[0].get_title().endswith("confusion matrix, mean over 2 trials")


def test_the_accuracy_of_each_class_and_its_interval(run: Path) -> None:
    inspected = run_files.read(run)
    shown = classes.accuracies(
        inspected.record, [trial.per_class for trial in run_files.trials(inspected)]
    )
    for number, accuracy in enumerate(shown):
        values = []
        for seed in (0, 3):
            of_class = [
                row for row, label in zip(*saved(run, seed), strict=True) if label == number
            ]
            values.append(sum(row.index(max(row)) == number for row in of_class) / len(of_class))
        assert accuracy.values == pytest.approx(values)
        assert accuracy.mean == pytest.approx(sum(values) / 2)
        assert accuracy.n == len(of_class)
        half = half_over_trials(values)
        mean = sum(values) / 2
        if half and not half <= mean <= 1 - half:
            assert accuracy.interval == pytest.approx(score_interval(mean, half))
        elif half:
            assert accuracy.interval == pytest.approx((mean - half, mean + half))
        else:
            assert accuracy.interval is None
    figure = classes.per_class(
        inspected.record, [trial.per_class for trial in run_files.trials(inspected)]
    )
    bars = sorted((bar.get_width() for bar in figure.axes[0].patches), reverse=True)
    assert bars == pytest.approx(sorted((100 * accuracy.mean for accuracy in shown), reverse=True))


def test_the_interval_of_a_class_takes_into_account_that_folds_share_images() -> None:
    recalls = [[0.5, 0.6], [0.52, 0.5], [0.54, 0.4], [0.5, 0.6], [0.54, 0.5]]
    ours = record(folds=5, per_class=[0.52, 0.52])
    # Nadeau and Bengio, 2003: a fifth of the images tests, and the others train.
    wider = (5 * (1 / 5 + 1 / 4)) ** 0.5
    for one, values in zip(
        classes.accuracies(ours, recalls), zip(*recalls, strict=True), strict=True
    ):
        half = wider * half_over_trials(values)
        assert one.interval == pytest.approx((0.52 - half, 0.52 + half))


@pytest.mark.parametrize(("n_way", "named"), [(12, True), (18, True), (36, False), (100, False)])
def test_many_classes_leave_out_what_cannot_be_read(n_way: int, named: bool) -> None:
    counts = (np.eye(n_way, dtype=int) * 7 + np.roll(np.eye(n_way, dtype=int), 1, 1) * 3).tolist()
    names = [f"a class with number {number}" for number in range(n_way)]
    ours = record(classes=names, confusion=counts, per_class=[0.7] * n_way)
    axes = classes.confusion(ours).axes[0]
    assert bool(axes.texts) == named
    assert len(axes.get_xticklabels()) <= classes.NAMED
    assert len(classes.per_class(ours).axes[0].get_yticklabels()) == min(n_way, classes.NAMED)


def test_a_class_without_test_images_is_left_out_of_the_bars_and_nothing_is_confused_with_it() -> (
    None
):
    counts = [[15, 5, 0], [0, 0, 0], [0, 0, 10]]  # of five trials
    ours = record(classes=["a", "b", "c"], confusion=counts, per_class=[0.75, 0, 1], n_test=6)
    assert texts(classes.confusion(ours)) == ["75", "25", "100"]
    assert [label.get_text() for label in classes.per_class(ours).axes[0].get_yticklabels()] == [
        "c",
        "a",
    ]
    assert [tuple(pair) for pair in classes.confused(ours)] == [("a", "b", 1, 0.25)]
