"""Reliability against bins filled one image at a time, and the ECE of the record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fewshot.report.inspection import run_files
from fewshot.report.plots import calibration
from tests.fewshot.report.saved_run import saved


def test_reliability_counts_every_image_once(run: Path) -> None:
    found = run_files.read(run)
    draws = [calibration.bins(*run_files.predictions(found, seed)) for seed in (0, 3)]
    for seed, each in zip((0, 3), draws, strict=True):
        inside: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
        rows = list(zip(*saved(run, seed), strict=True))
        for row, label in rows:
            sure = max(row)
            place = next(m for m in range(15) if m / 15 < sure <= (m + 1) / 15)
            inside[place].append((sure, row.index(sure) == label))
        assert each.counts.tolist() == [len(one) for one in inside]
        gaps = [
            abs(sum(right for _, right in one) - sum(sure for sure, _ in one)) for one in inside
        ]
        assert each.error == pytest.approx(sum(gaps) / len(rows))
    ece = found.record.scores["ece"]
    assert [each.error for each in draws] == pytest.approx(
        ece.values, abs=2e-3
    )  # predictions in half precision
    upper, lower = calibration.reliability(draws).axes
    both = draws[0].counts + draws[1].counts
    right = (draws[0].correct + draws[1].correct)[both > 0] / both[both > 0]
    assert [each.get_height() for each in upper.patches] == pytest.approx(right.tolist())
    assert [int(each.get_text()) for each in lower.texts] == both[both > 0].tolist()
    assert f"ECE {ece.mean:.3f}"[:-1] in upper.get_title()


def test_a_confidence_at_a_bins_edge_is_below_it_and_certainty_in_the_last() -> None:
    found = calibration.bins(
        np.array([[0.5, 0.5], [1.0, 0.0], [0.4, 0.6]]), np.array([0, 0, 0]), 10
    )
    assert found.counts.tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 1]
    assert found.correct.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
