"""Figures about several studies. Oracle: the points that were asked for, read from the axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewshot.report.plots import overview_plots, style
from fewshot.report.plots.overview_plots import Point, Span


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are saved."""
    figures: list[Any] = []
    monkeypatch.setattr(style, "save", lambda figure, path: figures.append(figure) or [])
    return figures


def test_points_of_a_kind_share_a_colour(drawn: list[Any], tmp_path: Path):
    points = [Point("a", 10, 20, "one"), Point("b", 30, 25, "other"), Point("c", 40, 90, "one")]
    overview_plots.scatter(points, ("reported", "measured"), True, tmp_path / "x")
    (axes,) = drawn[0].axes
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["one"].get_xydata()[:, 1]) == [20, 90]
    assert lines["one"].get_color() != lines["other"].get_color()
    assert axes.get_xlim() == axes.get_ylim() == (6, 94)
    assert axes.get_xscale() == "linear"


def test_seconds_have_a_logarithmic_axis_with_plain_numbers(drawn: list[Any], tmp_path: Path):
    points = [Point("a", 0.05, 60, "one"), Point("b", 2000, 70, "one")]
    overview_plots.scatter(points, ("seconds", "accuracy"), False, tmp_path / "x")
    (axes,) = drawn[0].axes
    assert axes.get_xscale() == "log"
    assert axes.xaxis.get_major_formatter()(1000.0, 0) == "1,000"


def test_every_setting_of_a_row_has_a_mark(drawn: list[Any], tmp_path: Path):
    spans = [
        Span("K8, a long title " + 4 * "with more words ", [10.0, 20.0, 50.0]),
        Span("K9", [1.0]),
    ]
    overview_plots.spans(spans, tmp_path / "x")
    (axes,) = drawn[0].axes
    marks = [list(line.get_xdata()) for line in axes.lines]
    assert marks == [[10.0, 20.0, 50.0], [1.0]]
    heights = [line.get_ydata()[0] for line in axes.lines]
    assert heights[0] > heights[1]  # the first row is at the top
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels[0].count("\n") == 1
    low, high = axes.get_ylim()
    assert low < heights[1] < heights[0] < high
