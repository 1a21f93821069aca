"""The HTML page parsed by the standard library, and the index."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from fewshot.report.plots import style
from fewshot.report.studies import report
from tests.fewshot.report.studies.reading import Page
from tests.fewshot.study_results import Planned

ROOT = Path(__file__).parents[4]


def test_the_page_asks_for_nothing_and_is_well_formed(reported: tuple[Planned, Path, Path]) -> None:
    text = (reported[2] / "index.html").read_text()
    page = Page(text)
    assert page.open == []
    assert "http" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.S)
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,")), (tag, attributes)
    assert "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    targets = {
        attributes["href"][1:]
        for tag, attributes in page.tags
        if tag == "a" and attributes.get("href")
    }
    assert targets <= set(ids)
    assert {"kshot-K15", "experts-E11", "hyperparameters-H5"} <= targets
    titled = [
        attributes["id"] for tag, attributes in page.tags if tag == "title" and "id" in attributes
    ]
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) == 12
    assert {picture["role"] for picture in pictures} == {"img"}
    assert all(picture["aria-labelledby"] in titled for picture in pictures)
    assert text.count("The numbers behind this figure") == 12
    for table in page.tables:
        assert len(table) > 1
        assert {len(line) for line in table} == {len(table[0])}


def test_ids_of_figures_are_their_own(reported: tuple[Planned, Path, Path]) -> None:
    page = Page((reported[2] / "index.html").read_text())
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_colours_can_be_read_in_light_and_dark() -> None:
    text = (ROOT / "fewshot" / "report" / "studies" / "page.html").read_text()
    pairs = re.findall(r"--(\w+): light-dark\((#\w+), (#\w+)\)", text)
    assert len(pairs) == 7
    for place in (1, 2):
        colours = {pair[0]: pair[place] for pair in pairs}
        for ink in ("ink", "soft", "link"):
            for under in ("page", "band", "best"):
                assert contrast(colours[ink], colours[under]) >= 4.5, (ink, under)
        for colour in style.COLOURS:
            assert contrast(colour, colours["page"]) >= 3


def contrast(one: str, other: str) -> float:
    """WCAG 2.1, relative luminance."""
    lights = []
    for colour in (one, other):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        parts = [
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        lights.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_the_index_keeps_other_studies_and_leaves_a_page_written_by_hand(
    reported: tuple[Planned, Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    planned, saved, written_to = reported
    out = shutil.copytree(written_to, tmp_path / "out")
    before = (out / "README.md").read_text()
    assert before.index("## Which method at which number of labels?") < before.index("| study |")
    assert before.count("## Study by study") == 1
    (picture,) = re.findall(r"!\[.*\]\((.*)\)", before)
    assert (out / picture).exists()
    assert re.findall(r"^\| \[(\w+)\]", before, re.M) == ["experts", "hyperparameters", "kshot"]
    assert (
        "| [kshot](kshot.md) | 5 of 7 rows, 11 of 15 settings, 100 trials, scale small |  | "
        "5 of 7 |" in before
    )
    (out / "notes.md").write_text("# By hand\n")
    only = [item for item in planned if item[0].study == "kshot"]
    assert report.report(only, out, False, "small", saved) == 0
    assert (out / "README.md").read_text() == before + "\nOther pages:\n\n- [By hand](notes.md)\n"
    assert (out / "kshot.html").exists()
    (out / "README.md").write_text("# Mine\n")
    report.report(only, out, False, "small", saved)
    assert (out / "README.md").read_text() == "# Mine\n"
    assert "README.md was written by hand" in caplog.text
