"""The figure of the example: the order of its rows and the values of its points."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image

from fewshot.evaluation.statistics import Interval
from fewshot.report.plots import accuracy_by_method
from fewshot.report.plots.accuracy_by_method import Result


def test_every_method_is_named_and_drawn(tmp_path: Path) -> None:
    results = [
        Result("better", [0.9, 0.8], 0.85, Interval(0.75, 0.93)),
        Result("worse", [0.5], 0.5, None),
    ]
    svg, _, png = accuracy_by_method.draw(
        results, "digits, 16 labels per class", tmp_path / "example"
    )
    text = svg.read_text()
    assert text.index("<!-- worse -->") < text.index("<!-- better -->")  # from the bottom up
    assert "<!-- digits, 16 labels per class -->" in text
    assert matplotlib.image.imread(png).std() > 0.02
