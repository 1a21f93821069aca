"""The one style of all figures: sizes, colours, grid, and how a figure is saved."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from fewshot.io import write_bytes

FORMATS = ("svg", "pdf", "png")  # for pages, for papers, and for everything else
SINGLE, DOUBLE = 3.4, 7.0  # inches: one column and two columns of a paper
WIDTH = DOUBLE
TITLE, LABEL, TICK, SMALL = 9, 8, 7.5, 7  # points at the printed size; none is smaller
# Each colour has a contrast of at least 3:1 against a white and against a dark page, and neighbours
# in the list differ for colour-blind readers (after Okabe and Ito, 2008).
COLOURS = (
    "#2a7fce",
    "#d9600a",
    "#2e9150",
    "#c9408c",
    "#8a63d2",
    "#a8741a",
    "#1d8f9c",
    "#d0453f",
)
BLUE, ORANGE, GREEN, GREY = COLOURS[0], COLOURS[1], COLOURS[2], "#7a7a7a"
MARKERS = "osD^vPX*<>"
SEQUENTIAL = "Blues"  # the colours of shares and accuracies, from low to high
# Letters on pale colours. They are not black, because the HTML page turns black into its own text
# colour, which is white on a dark page.
ON_PALE, ON_DARK = "#111111", "white"
# Below a logarithmic axis, as shares of its length: a digit, and the gap between two numbers
DIGIT, GAP = 0.0105, 0.006
RC: dict[Any, Any] = {
    "font.size": LABEL,
    "axes.titlesize": TITLE,
    "axes.labelsize": LABEL,
    "xtick.labelsize": TICK,
    "ytick.labelsize": TICK,
    "legend.fontsize": TICK,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "text.parse_math": False,  # a dollar sign in the name of a class is no formula
    "svg.hashsalt": "fewshot",  # without it the ids in an SVG file differ from run to run
    "pdf.fonttype": 42,  # TrueType letters: journals refuse the default, Type 3
}
UNDATED: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
MISSING_LETTER = re.compile(r"Glyph \d+ .*missing from")  # a warning of matplotlib

log = logging.getLogger("fewshot")
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def styled(draw: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Apply the style of this module while the decorated function draws or saves a figure."""

    @wraps(draw)
    def with_style(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        from cycler import cycler
        from matplotlib import rc_context

        with rc_context({**RC, "axes.prop_cycle": cycler(color=COLOURS)}):
            return draw(*args, **kwargs)

    return with_style


@styled
def new(height: float, columns: int = 1, rows: int = 1, width: float = WIDTH) -> tuple[Any, Any]:
    """Return a figure and its axes: one, or an array if there are several columns or rows.

    Args:
        height: in inches.
        columns: number of axes side by side.
        rows: number of axes on top of each other.
        width: in inches.
    """
    figure = blank(height, width)
    return figure, figure.subplots(rows, columns)


@styled
def blank(height: float, width: float = WIDTH) -> Any:
    """Return a figure without axes, of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def ink_on(colour: Any) -> str:
    """Return the colour of letters that are read best on a colour of any form."""
    from matplotlib.colors import to_rgb

    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in to_rgb(colour)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # The contrasts with white and with black are equal here (WCAG 2.2, relative luminance).
    return ON_PALE if luminance > 0.179 else ON_DARK


@styled
def save(figure: Any, path: Path, dpi: int = 150) -> list[Path]:
    """Write the figure as path.svg, path.pdf and path.png, and return these paths.

    It has exactly its size in inches, so that its letters have theirs in a paper.
    The same figure gives the same bytes: no date is written, and ids are hashed with a fixed salt.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):  # also those that were made outside this style
        text.set_parse_math(False)
    paths = []
    for suffix in FORMATS:
        buffer = io.BytesIO()
        metadata = UNDATED.get(suffix)
        with _missing_letters_in_one_line():
            figure.savefig(buffer, format=suffix, dpi=dpi, metadata=metadata)
        paths.append(path.with_name(f"{path.name}.{suffix}"))
        write_bytes(paths[-1], buffer.getvalue())
    return paths


@contextmanager
def _missing_letters_in_one_line() -> Iterator[None]:
    """Log one line, and only once, in place of a warning for each letter that the font lacks."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    others = [one for one in caught if not MISSING_LETTER.match(str(one.message))]
    if len(others) < len(caught):
        _mention_missing_letters()
    for one in others:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


@cache
def _mention_missing_letters() -> None:
    log.warning(
        "boxes in the figures stand for letters that the font does not have: name a font that has "
        "them in a matplotlibrc file, such as `font.family: Noto Sans CJK JP`."
    )


def _apart(budgets: Sequence[float]) -> list[float]:
    """Return the rising budgets whose numbers do not overlap on a logarithmic axis."""
    from math import log

    length = log(budgets[-1] / budgets[0])
    ticks = list(budgets[:1])
    for budget in budgets[1:]:
        digits = (len(f"{budget:g}") + len(f"{ticks[-1]:g}")) / 2
        if log(budget / ticks[-1]) >= (DIGIT * digits + GAP) * length:
            ticks.append(budget)
    return ticks


def label_axis(axes: Any, budgets: list[float], kind: str) -> None:
    """Make the x axis logarithmic, with a tick at each label budget; `kind`: shots or fraction."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_apart(budgets)))
    axes.xaxis.set_minor_locator(NullLocator())
    percent = kind == "fraction"
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{100 * x:g}%" if percent else f"{x:g}")
    )
    axes.set_xlabel("share of the training images" if percent else "labels per class")
