"""Oracle: the places of what is drawn, read from the SVG files, against the numbers given."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from fewshot.report.plots import causes, style
from fewshot.report.plots.causes import Point


def places(svg: Path, colour: str) -> list[tuple[float, float]]:
    """Return where markers of a colour stand."""
    uses = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="([^"]*)"', svg.read_text())
    return [(float(x), float(y)) for x, y, look in uses if f"stroke: {colour}" in look]


def test_settings_stand_below_each_other_with_the_report_beside(tmp_path: Path) -> None:
    points = {
        "first": Point(20.0, (10.0, 30.0), 40.0),
        "second": Point(50.0, (50.0,), None),
    }
    svg, *_ = causes.beside(points, tmp_path / "figure")
    (low, mean, high), others = _rows(places(svg, style.BLUE))
    assert mean[0] - low[0] == pytest.approx(high[0] - mean[0])
    reported = next(place for place in places(svg, style.ORANGE) if place[1] == mean[1])
    assert reported[0] - mean[0] == pytest.approx(2 * (mean[0] - low[0]))  # 40 - 20 and 20 - 10
    assert {place[1] for place in others} != {mean[1]}
    assert others[0][1] > mean[1]  # SVG counts from the top


def _rows(markers: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Return the markers of the two rows with most of them, each from left to right."""
    heights: dict[float, list[tuple[float, float]]] = {}
    for place in sorted(set(markers)):
        heights.setdefault(place[1], []).append(place)
    return [heights[y] for y in sorted(heights)][-2:]


def test_a_line_for_each_other_setting_at_equal_distances(tmp_path: Path) -> None:
    values = ["0", "0.01", "1"]
    lines = {
        "coupled": {value: Point(9.0, (9.0,), None) for value in values},
        "decoupled": {"1": Point(5.0, (4.0, 6.0), 8.0)},
    }
    svg, *_ = causes.along(lines, values, "lambda", tmp_path / "figure")
    count = Counter(places(svg, causes.LINES[0]))
    xs = sorted(x for (x, _), number in count.items() if number == 2)  # the mean and its only trial
    assert len(xs) == 3
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])
    text = svg.read_text()
    assert [label for label in ("coupled", "decoupled", "the report") if label not in text] == []
