"""One style: the files of a figure do not change, and the settings of matplotlib are restored."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib
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
