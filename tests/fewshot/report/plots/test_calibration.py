"""Reliability against bins filled one image at a time, and the ECE of the record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fewshot.report.inspection import run_files
from fewshot.report.plots import calibration
from tests.fewshot.report.saved_run import saved


@pytest.mark.parametrize("calibrated", [False, True])
def test_reliability_counts_every_image_once(run: Path, calibrated: bool) -> None:
    inspected = run_files.read(run)
    trials = [
        calibration.bins(*run_files.predictions(inspected, seed, calibrated=calibrated))
        for seed in (0, 3)
    ]
    for seed, trial_bins in zip((0, 3), trials, strict=True):
        inside: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
        rows = list(zip(*saved(run, seed, calibrated), strict=True))
        for row, label in rows:
            sure = max(row)
            place = next(m for m in range(15) if m / 15 < sure <= (m + 1) / 15)
            inside[place].append((sure, row.index(sure) == label))
        assert trial_bins.counts.tolist() == [len(one) for one in inside]
        gaps = [
            abs(sum(right for _, right in one) - sum(sure for sure, _ in one)) for one in inside
        ]
        assert trial_bins.error == pytest.approx(sum(gaps) / len(rows))
    scores = inspected.record.calibrated if calibrated else inspected.record.scores
    ece = scores["ece"]
    assert [trial_bins.error for trial_bins in trials] == pytest.approx(ece.values)
    upper, lower = calibration.reliability(trials).axes
    both = trials[0].counts + trials[1].counts
    right = (trials[0].correct + trials[1].correct)[both > 0] / both[both > 0]
    assert [bar.get_height() for bar in upper.patches] == pytest.approx(right.tolist())
    assert [int(text.get_text()) for text in lower.texts] == both[both > 0].tolist()
    assert f"ECE {ece.mean:.3f}"[:-1] in upper.get_title()


def test_a_confidence_at_a_bins_edge_is_below_it_and_certainty_in_the_last() -> None:
    bins = calibration.bins(np.array([[0.5, 0.5], [1.0, 0.0], [0.4, 0.6]]), np.array([0, 0, 0]), 10)
    assert bins.counts.tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 1]
    assert bins.correct.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def test_the_grid_draws_each_panel_by_its_bins() -> None:
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    panel = calibration.bins(probabilities, np.array([0, 1, 1]), 5)
    figure = calibration.grid([[("a", panel), ("b", panel)], [("c", panel), ("d", panel)]])
    assert [axes.get_title() for axes in figure.axes] == [f"{name}: ECE 0.500" for name in "abcd"]
    for axes in figure.axes:
        dots = axes.collections[0]
        assert dots.get_offsets().tolist() == [[0.6, 1.0], [pytest.approx(0.8), 1.0], [0.9, 0.0]]
        assert dots.get_sizes().tolist() == pytest.approx([200 / 3] * 3)
