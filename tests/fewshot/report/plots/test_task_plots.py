"""Figures of accuracies over tasks. Oracle: numbers and names read from the drawn SVG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fewshot.report.plots import style, task_plots
from fewshot.report.plots.task_plots import Boxes, Line, Method

INDUCTIVE, TRANSDUCTIVE = Method("ridge", False), Method("pt-map", True)


def text_of(path: Path, name: str) -> str:
    """Return an SVG file whose text is text, not outlines."""
    return path.with_name(f"{name}.svg").read_text()


def test_box_plots_have_the_colour_of_their_kind_and_a_legend(tmp_path: Path):
    values = np.linspace(0.2, 0.8, 50)
    panels = [Boxes("1-shot", {INDUCTIVE: values, TRANSDUCTIVE: values + 0.1})]
    task_plots.boxes(panels, tmp_path / "both")
    svg = text_of(tmp_path / "both", "both")
    assert style.BLUE in svg
    assert style.ORANGE in svg
    task_plots.boxes([Boxes("1-shot", {INDUCTIVE: values})], tmp_path / "one")
    assert style.ORANGE not in text_of(tmp_path / "one", "one")


def test_panels_share_an_axis_that_shows_all_of_them(tmp_path: Path):
    low, high = np.linspace(0.1, 0.3, 50), np.linspace(0.7, 0.9, 50)
    panels = [Boxes("1-shot", {INDUCTIVE: low}), Boxes("5-shot", {INDUCTIVE: high})]
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "save", lambda figure, path: drawn.append(figure) or [])
        task_plots.boxes(panels, tmp_path / "both")
    for axes in drawn[0].axes:
        left, right = axes.get_xlim()
        assert (left < 10, 90 < right <= 101) == (True, True)


def test_rows_of_dots_have_a_marker_for_each_number_of_shots(tmp_path: Path):
    line = Line(INDUCTIVE, [1, 5, 10], [0.4, 0.5, 0.6], [0.01, 0.01, 0.01])
    task_plots.dots([line], "dots", tmp_path / "three")
    task_plots.dots(
        [line._replace(shots=[1], means=[0.4], halves=[0.01])], "dots", tmp_path / "one"
    )
    n_markers = [text_of(tmp_path / name, name).count("clip-path") for name in ("three", "one")]
    assert n_markers[0] > n_markers[1]


def test_methods_have_the_same_colour_whatever_their_order(tmp_path: Path):
    def lines(first: float, second: float) -> list[Line]:
        return [
            Line(INDUCTIVE, [1, 5], [0.4, first], [0.01, 0.01]),
            Line(TRANSDUCTIVE, [1, 5], [0.4, second], [0.01, 0.01]),
        ]

    for name, ends in (("up", (0.5, 0.6)), ("down", (0.6, 0.5))):
        task_plots.against_shots(lines(*ends), name, tmp_path / name)
        svg = text_of(tmp_path / name, name)
        dashed = [line for line in svg.splitlines() if "stroke-dasharray" in line]
        assert any(style.COLOURS[0] in line for line in dashed), "pt-map comes first by name"
        assert not any(style.COLOURS[1] in line for line in dashed)
