"""The table of methods against the raw records, and the readme's figure against their means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import readme
from scripts.pages import RECORDS


def raw(name: str) -> dict:
    return json.loads((RECORDS / "learners" / f"{name}.json").read_text())


@pytest.mark.parametrize("method", [method.key for method in readme.METHODS])
def test_the_table_of_methods_shows_the_records(method: str) -> None:
    (line,) = [line for line in readme.methods().splitlines() if f"(`{method}`)" in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")][3:]
    for cell, shots in zip(cells, readme.SHOTS, strict=True):
        record = raw(f"{method}-{shots}")
        score = record["scores"]["accuracy"]
        expected = f"{100 * score['mean']:.1f} ± {100 * score['ci95']:.1f} ({len(record['seeds'])})"
        assert cell.removesuffix(" †") == expected
        assert cell.endswith("†") == (record["config"].get("train") is None)


def test_the_figure_has_a_line_for_each_method_through_its_means() -> None:
    (axes,) = readme.figure().axes
    labels = {text.get_text() for text in axes.texts}
    assert labels == {method.key for method in readme.METHODS}
    means = {round(float(line.get_ydata()[-1]), 6) for line in axes.lines if len(line.get_ydata())}
    for method in readme.METHODS:
        mean = raw(f"{method.key}-128")["scores"]["accuracy"]["mean"]
        assert round(100 * mean, 6) in means


def test_every_mark_of_the_readme_has_a_table() -> None:
    marks = set()
    for page in [readme.ROOT / "README.md", *Path(readme.ROOT / "docs").rglob("*.md")]:
        for line in page.read_text().splitlines():
            if line.startswith("<!-- table: "):
                marks.add(line.removeprefix("<!-- table: ").removesuffix(" -->"))
    assert marks <= set(readme.tables())
