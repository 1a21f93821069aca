"""The mistakes of a sheet against a plain sort of the saved predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fewshot.report.inspection import run_files
from fewshot.report.plots import image_sheets
from tests.fewshot.report.saved_run import saved


def test_the_most_confident_mistakes_are_those_of_a_plain_sort(run: Path) -> None:
    rows = list(enumerate(zip(*saved(run, 3, calibrated=True), strict=True)))
    wrong = [
        (-max(row), index, label, row.index(max(row)))
        for index, (row, label) in rows
        if max(row) != row[label]
    ]
    mistakes = image_sheets.mistakes(*run_files.predictions(run_files.read(run), 3), 20)
    assert [mistake[:3] for mistake in mistakes] == [mistake[1:] for mistake in sorted(wrong)[:20]]
    assert [mistake.probability for mistake in mistakes] == pytest.approx(
        [-mistake[0] for mistake in sorted(wrong)[:20]]
    )
    tied = image_sheets.mistakes(
        np.array([[0.3, 0.7], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8]]), np.array([0, 1, 0, 0]), 2
    )
    assert [mistake.image for mistake in tied] == [3, 0]
