"""Box plots and heat maps: every value and mean is in the drawn file, at the size of a column."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from fewshot.report.plots import setting_plots
from fewshot.report.plots.setting_plots import Boxes, Heat, Scale


def width_in_inches(svg: str) -> float:
    (points,) = re.findall(r'<svg [^>]*?width="([\d.]+)pt"', svg.replace("\n", " "))
    return float(points) / 72


def test_boxes_name_settings_values_and_panels(tmp_path: Path) -> None:
    rates = {"0.1": [10.0, 12.0], "0.01": [20.0, 21.0, 22.0, 23.0, 24.0]}
    one = Boxes("network A", "learning rate", rates)
    other = Boxes("network B", "batch size", {"64": [30.0], "128": [40.0]})
    svg, *_ = setting_plots.boxes([one, other], tmp_path / "boxes")
    text = svg.read_text()
    for words in ("network A", "network B", "learning rate", "batch size", "0.01", "128"):
        assert f"<!-- {words} -->" in text, words
    assert width_in_inches(text) == pytest.approx(7)
    svg, *_ = setting_plots.boxes([one], tmp_path / "single")
    assert width_in_inches(svg.read_text()) == pytest.approx(3.4)


def test_heat_maps_show_every_mean_that_there_is(tmp_path: Path) -> None:
    means = np.array([[11.1, 22.2], [33.3, np.nan]])
    x, y = Scale("learning rate", ["0.1", "0.01"]), Scale("batch size", ["64", "128"])
    svg, *_ = setting_plots.heat_maps([Heat("no flips", means)], x, y, tmp_path / "heat")
    text = svg.read_text()
    for words in ("11.1", "22.2", "33.3", "no flips", "learning rate", "batch size", "128"):
        assert f"<!-- {words} -->" in text, words
    assert "nan" not in text
