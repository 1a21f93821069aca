"""Dots: each row, setting and kind of measurement is named in the drawn file."""

from __future__ import annotations

from pathlib import Path

from fewshot.evaluation.statistics import Interval
from fewshot.report.plots import study_plots
from fewshot.report.plots.study_plots import Dot


def test_dots_stand_under_their_rows_and_kinds_are_in_the_legend(tmp_path: Path) -> None:
    some = Interval(40, 60)
    svg, *_ = study_plots.dots(
        [
            Dot("A1 a network", "", 70, 50, some, False, "full"),
            Dot("A2 in its place", "rate 0.1", 40, 50, some, True, "small"),
            Dot("A2 in its place", "rate 0.2", 45, 50, some, True, "small"),
        ],
        tmp_path / "dots",
    )
    text = svg.read_text()
    for words in (
        "rate 0.1",
        "rate 0.2",
        "reported",
        "the report's network, scale full",
        "another network in its place, scale small",
    ):
        assert text.count(f"<!-- {words} -->") == 1, words
    # Each row is named once, and no kind is in the legend that has no dot.
    assert text.count("<!-- A1 a network -->") == text.count("<!-- A2 in its place -->") == 1
    assert "the report's network, scale small" not in text
