"""Curves against means over the logged rows, and hand-made accuracies."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from fewshot.report.inspection import run_files
from fewshot.report.plots import training_curves
from tests.fewshot.report.handmade import record


def test_a_mean_leaves_out_trials_that_stopped() -> None:
    average = training_curves.average([[1.0, 2.0, 3.0, None], [3.0, 6.0, None, None]])
    assert average.trials.tolist() == [2, 2, 1, 0]
    assert average.mean[:3].tolist() == [2, 4, 3]
    assert average.std[:2] == pytest.approx([math.sqrt(2), math.sqrt(8)])
    assert np.isnan(average.std[2:]).all()


def test_curves_are_the_means_of_the_logged_trials(run: Path) -> None:
    inspected = run_files.read(run)
    logs = [
        [
            json.loads(line)
            for line in (run / f"trial-{seed}" / "metrics.jsonl").read_text().splitlines()
        ]
        for seed in (0, 3)
    ]
    figure = training_curves.over_epochs(run_files.curves(inspected), inspected.record)
    for axes, kind, scale in zip(figure.axes, ("loss", "accuracy"), (1, 100), strict=True):
        means = [
            scale * (a[f"validation_{kind}"] + b[f"validation_{kind}"]) / 2
            for a, b in zip(*logs, strict=True)
        ]
        drawn = [line.get_ydata() for line in axes.lines if line.get_linewidth() == 2]
        assert any(np.allclose(curve, means) for curve in drawn if len(curve) == len(means))
        faint = [line.get_ydata() for line in axes.lines if line.get_linewidth() == 0.7]
        one = [scale * row[f"validation_{kind}"] for row in logs[1]]
        assert any(np.allclose(curve, one) for curve in faint)


def test_training_validation_and_test_accuracy_of_several_records(run: Path) -> None:
    ours, bare = run_files.read(run).record, record()
    (axes,) = training_curves.train_and_test({"ours": ours, "other": bare}).axes
    drawn = [bar.get_width() for bar in axes.patches if bar.get_width()]
    scores = [ours.train_accuracy, ours.validation["accuracy"], ours.scores["accuracy"]]
    scores += [bare.train_accuracy, bare.scores["accuracy"]]
    assert drawn == pytest.approx([100 * score.mean for score in scores])


def test_a_last_point_a_few_steps_after_an_epoch_is_merged_with_it() -> None:
    short = {
        "epoch": [1.0, 2.0, 2.1],
        "train_loss": [[5.0, 4.0, 9.0], [5.0, 3.0, None]],
        "test_loss": [[5.0, 4.0, 3.0], [5.0, 3.0, None]],
    }
    assert training_curves.without_short_end(short) == {
        "epoch": [1.0, 2.0],
        "train_loss": [[5.0, 4.0], [5.0, 3.0]],
        "test_loss": [[5.0, 3.0], [5.0, 3.0]],
    }
    whole = {**short, "epoch": [1.0, 2.0, 3.0]}
    assert training_curves.without_short_end(whole) == whole
