"""One style: the files of a figure do not change, and the settings of matplotlib are restored."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from fewshot.report.plots import style


@style.styled
def figure() -> object:
    canvas, axes = style.new(2)
    axes.plot([1, 2], [3, 4], label="a line")
    return canvas


def test_the_same_figure_gives_the_same_files(tmp_path: Path) -> None:
    first = style.save(figure(), tmp_path / "a")
    second = style.save(figure(), tmp_path / "b")
    assert [path.suffix for path in first] == [".svg", ".pdf", ".png"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"/Type3" not in first[1].read_bytes()


def test_the_style_holds_inside_only() -> None:
    before = matplotlib.rcParams["axes.titlesize"], matplotlib.rcParams["axes.grid"]
    inside = style.styled(lambda: matplotlib.rcParams["axes.titlesize"])()
    assert inside == style.TITLE
    assert before == (matplotlib.rcParams["axes.titlesize"], matplotlib.rcParams["axes.grid"])


def test_label_budgets_have_ticks_in_words() -> None:
    canvas, axes = style.new(2)
    axes.plot([0.01, 0.1], [1, 2])
    style.label_axis(axes, [0.01, 0.1], "fraction")
    canvas.canvas.draw()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1%", "10%"]
    assert axes.get_xlabel() == "share of the training images"


def test_letters_that_the_font_lacks_are_mentioned_once_and_other_warnings_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    style._mention_missing_letters.cache_clear()
    canvas, axes = style.styled(lambda: style.new(2))()
    axes.set_title("猫 犬")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        style.save(canvas, tmp_path / "a")
    assert [record.message[:20] for record in caplog.records] == ["boxes in the figures"]


def test_names_with_dollar_signs_are_no_formulas(tmp_path: Path) -> None:
    canvas, axes = style.new(2)
    axes.set_title("$a_^$ b")  # matplotlib raises an error for this formula
    axes.set_xticks([0, 1], ["\\frac{$", "$5"])
    (path, *_) = style.save(canvas, tmp_path / "a")
    assert path.exists()


def linear(colour: str) -> np.ndarray:
    """Return linear red, green and blue of a colour (IEC 61966-2-1)."""
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2)."""
    low, high = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#15181c"])
def test_colours_are_seen_on_light_and_dark_pages(page: str) -> None:
    for colour in (*style.COLOURS, style.GREY):
        assert contrast(colour, page) >= 3, colour


# What people without red, green or blue cones see, severity 1: Machado et al., 2009, table 1.
BLIND = {
    "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998]],
    "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
              [-0.011820, 0.042940, 0.968881]],
    "blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
             [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


@pytest.mark.parametrize("missing", BLIND)
def test_the_first_colours_differ_for_colour_blind_readers(missing: str) -> None:
    seen = [lab(np.clip(np.array(BLIND[missing]) @ linear(one), 0, 1)) for one in style.COLOURS[:4]]
    for index, one in enumerate(seen):
        for other in seen[:index]:
            assert np.linalg.norm(one - other) > 12  # CIE 1976; 2.3 is just noticeable


def lab(rgb: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* of linear red, green and blue, for the white point D65."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(np.maximum(to_xyz @ rgb / [0.9505, 1, 1.089], 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("colour", ["#f7fbff", "#6aaed6", "#2a7fce", "#08306b"])
def test_letters_on_a_colour_are_the_more_readable_ones(colour: str) -> None:
    inks = {style.ON_PALE: "#111111", style.ON_DARK: "#ffffff"}
    assert style.ink_on(colour) == max(inks, key=lambda ink: contrast(inks[ink], colour))


def test_a_saved_figure_has_its_size(tmp_path: Path) -> None:
    canvas = style.blank(2, style.SINGLE)
    canvas.subplots().plot([1, 2])
    *_, png = style.save(canvas, tmp_path / "a", dpi=100)
    assert matplotlib.image.imread(png).shape[:2] == (200, 340)
