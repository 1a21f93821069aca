"""The gain as text, table and figure. Oracle: numbers by hand, and intervals of SciPy."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from scipy import stats

from fewshot.model.suggest.gain_curve import Curve
from fewshot.report import suggestion_gain

SUGGESTED = [[0.5, 0.7], [0.6, 0.8], [0.7, 0.75]]
RANDOM = [[0.4, 0.7], [0.5, 0.7], [0.4, 0.7]]
COUNTS = np.array([[3, 4], [4, 4], [3, 4]])


def curve() -> Curve:
    return Curve((10, 20), np.array(SUGGESTED), np.array(RANDOM), COUNTS, COUNTS - 1)


def test_the_text_has_means_and_the_interval_of_the_paired_difference() -> None:
    text = suggestion_gain.text(curve())
    first = text.splitlines()[1]
    test = stats.ttest_rel([row[0] for row in SUGGESTED], [row[0] for row in RANDOM])
    low, high = test.confidence_interval()
    assert first.split()[0] == "10"
    assert "0.600 ± " in first
    assert f"{(low + high) / 2:+.3f} ± {(high - low) / 2:.3f}" in first
    assert first.endswith("3.3 / 2.3")


def test_the_files_hold_every_trial(tmp_path: Path) -> None:
    files = suggestion_gain.write(curve(), tmp_path / "new" / "gain")
    assert [path.suffix for path in files] == [".csv", ".svg", ".pdf", ".png"]
    with files[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["suggested"]) for row in rows] == [
        value for row in SUGGESTED for value in row
    ]
    svg = files[1].read_text()
    assert "suggested" in svg
    assert "at random" in svg
