"""The figure of methods against the marks of its SVG: their numbers and order known by hand."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from fewshot.report.plots import accuracy_by_method
from fewshot.report.plots.accuracy_by_method import Result

RESULTS = [
    Result("second", [0.5, 0.7], 0.6, 0.1),
    Result("best", [0.9], 0.9, None),
    Result("worst", [0.1, 0.2, 0.3], 0.2, 0.05),
]


def test_both_files_are_written_and_do_not_change(tmp_path: Path) -> None:
    paths = accuracy_by_method.draw(RESULTS, "title", tmp_path / "figure")
    assert [path.name for path in paths] == ["figure.svg", "figure.png"]
    first = [path.read_bytes() for path in paths]
    accuracy_by_method.draw(RESULTS, "title", tmp_path / "figure")
    assert [path.read_bytes() for path in paths] == first


def test_every_trial_has_a_mark(tmp_path: Path) -> None:
    svg, _ = accuracy_by_method.draw(RESULTS, "title", tmp_path / "figure")
    tree = ElementTree.fromstring(svg.read_text())
    groups = [element for element in tree.iter() if "PathCollection" in element.get("id", "")]
    marks = [sum(element.tag.endswith("use") for element in group.iter()) for group in groups]
    assert marks == [3, 2, 1]  # from the worst, at the bottom, to the best
