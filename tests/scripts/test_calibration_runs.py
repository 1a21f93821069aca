"""Oracle: the numbers of labels that issue 25 names."""

from __future__ import annotations

import pytest

from fewshot import config
from scripts import calibration_runs


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("2-to-40", [2, 3, 4, 5, 8, 11, 15, 20, 29, 40]),
        ("32-and-8-training", [32] + [8] * 9),
        ("4", [4] * 10),
    ],
)
def test_the_subsets_have_these_numbers_of_labels(name: str, numbers: list[int]) -> None:
    assert calibration_runs.CLASSES[:2] == ("airplane", "automobile")
    settings = config.preset("probe", "few") | calibration_runs.SUBSETS[name]
    chosen = config.check(config.RunConfig, {"method": "probe", **settings}, "a test")
    expected = [chosen.class_shots.get(cls, chosen.shots) for cls in calibration_runs.CLASSES]
    assert expected == numbers
