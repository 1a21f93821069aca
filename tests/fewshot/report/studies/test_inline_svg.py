"""SVG files as parts of a page. Oracle: the figure's own words and numbers, and an XML parser."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from fewshot.report.plots import style
from fewshot.report.studies import inline_svg

WORDS = ["accuracy, % & more", "0.00012", "-- <weights> --", "labels per class"]


@pytest.fixture
def drawn(tmp_path: Path) -> str:
    """The text of an SVG file with a line of 500 points and some words."""
    figure, axes = style.new(3)
    axes.plot([0.123456 * x for x in range(500)], [x % 7 + x / 300 for x in range(500)])
    axes.set_ylabel(WORDS[0])
    axes.set_xlabel(WORDS[3])
    axes.text(5, 3.0, WORDS[1], color=style.ORANGE)
    axes.text(5, 6.0, WORDS[2])
    svg, *_ = style.save(figure, tmp_path / "figure")
    return svg.read_text()


def parsed(part: str) -> ElementTree.Element:
    return ElementTree.fromstring(part.replace("<svg ", '<svg xmlns="s" ', 1))


def texts(part: str) -> list[str]:
    return ["".join(one.itertext()) for one in parsed(part).iter("{s}text")]


def test_letters_are_text_and_keep_their_numbers(drawn: str):
    part = inline_svg.inline(drawn, "kshot-K1", "A curve & its words")
    lines = texts(part)
    assert lines[-1] == "- - <weights> - -"  # an XML comment cannot hold two hyphens
    assert {WORDS[0], WORDS[1], WORDS[3]} <= set(lines)
    assert "10" in lines  # a tick
    assert 'fill: #d9600a" transform' in part
    assert parsed(part)[0].text == "A curve & its words"


def test_a_part_is_small_and_its_ids_are_its_own(drawn: str):
    part = inline_svg.inline(drawn, "kshot-K1", "A curve")
    assert len(part) < 0.6 * len(drawn)
    ids = re.findall(r' id="([^"]*)"', part)
    assert len(ids) == len(set(ids))
    assert all(one.startswith("kshot-K1-") for one in ids)
    used = set(re.findall(r'href="#([^"]+)"', part)) | set(re.findall(r"url\(#([^)]+)\)", part))
    assert used <= set(ids)
    assert not re.search(r"#000000|<style|<metadata|<!--", part)


def test_points_stay_within_a_tenth_of_where_they_were(drawn: str):
    def curve(svg: str) -> list[float]:
        straight = [path for path in re.findall(r'\bd="([^"]*)"', svg) if not {*path} & {*"CQ"}]
        longest = max(straight, key=lambda path: len(path.split()))
        return [float(number) for number in re.findall(r"-?[\d.]+", longest)]

    before, after = curve(drawn), curve(inline_svg.inline(drawn, "a", "b"))
    assert len(before) == len(after) > 200
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= 0.051


def test_width_of_a_line_is_that_of_its_letters(drawn: str):
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    for one in parsed(inline_svg.inline(drawn, "a", "b")).iter("{s}text"):
        if one.text != WORDS[3]:
            continue
        font = FontProperties(size=float(one.attrib["font-size"]))
        width, *_ = TextToPath().get_text_width_height_descent(WORDS[3], font, False)
        assert float(one.attrib["textLength"]) == pytest.approx(width, rel=0.03)
        return
    pytest.fail("no such text")


def test_no_figure_gives_nothing():
    assert inline_svg.inline("", "a", "b") == ""


def test_bold_letters_stay_bold(tmp_path: Path):
    figure, axes = style.new(3)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("plain")
    axes.set_ylabel("bold", fontweight="bold")
    svg, *_ = style.save(figure, tmp_path / "figure")
    lines = parsed(inline_svg.inline(svg.read_text(), "a", "words")).iter("{s}text")
    weights = {"".join(line.itertext()): line.get("font-weight") for line in lines}
    assert weights == {"plain": None, "bold": "bold"}
