"""Oracles: matplotlib's own defaults, the contrast formula of WCAG 2, and equal bytes of files."""

from pathlib import Path

import matplotlib as mpl
import pytest

from fewshot.report.plots import style


def test_the_style_applies_inside_a_decorated_function_alone() -> None:
    before = mpl.rcParams["axes.grid"], mpl.rcParams["font.size"]

    @style.styled
    def settings() -> tuple[object, object]:
        return mpl.rcParams["axes.grid"], mpl.rcParams["font.size"]

    assert settings() == (True, style.LABEL)
    assert (mpl.rcParams["axes.grid"], mpl.rcParams["font.size"]) == before


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", style.COLOURS)
def test_every_colour_can_be_read_on_a_white_and_on_a_dark_page(colour: str) -> None:
    for page in ("#ffffff", "#0d1117"):
        lighter, darker = sorted((luminance(colour), luminance(page)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3


def figure_of(height: float):
    figure, axes = style.new(height)
    axes.plot([1, 4, 16], [0.3, 0.5, 0.7])
    style.label_axis(axes, [1, 4, 16], "shots")
    return figure, axes


def test_equal_figures_give_equal_files_in_both_formats(tmp_path: Path) -> None:
    paths = style.save(figure_of(2)[0], tmp_path / "first", dpi=40)
    assert [path.name for path in paths] == ["first.svg", "first.png"]
    repeated = style.save(figure_of(2)[0], tmp_path / "second", dpi=40)
    for first, second in zip(paths, repeated, strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert paths[0].read_text().startswith("<?xml")
    assert paths[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("kind", "budgets", "ticks", "title"),
    [
        ("shots", [1, 4, 16], ["1", "4", "16"], "labels per class"),
        ("fraction", [0.01, 0.5], ["1%", "50%"], "share of the training images"),
    ],
)
def test_the_axis_of_labels_has_a_tick_for_each_budget(
    kind: str, budgets: list[float], ticks: list[str], title: str
) -> None:
    _, axes = style.new(2)
    axes.plot(budgets, budgets)
    style.label_axis(axes, budgets, kind)
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ticks
    assert axes.get_xlabel() == title


def test_several_axes_are_an_array_of_rows_and_columns() -> None:
    _, axes = style.new(2, columns=3, rows=2)
    assert axes.shape == (2, 3)
