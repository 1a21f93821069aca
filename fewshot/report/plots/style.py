"""What all figures share: colours that also colour-blind readers tell apart, plain axes, files that do not change."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from fewshot.io import write_bytes

FORMATS = ("svg", "png")
BLUE, ORANGE, GREEN, VERMILION, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#999999",
)  # Okabe and Ito, 2008
WIDTH = 7.2  # inches; at 700 pixels a letter of 9 points is 12 pixels high


def save(figure: Any, path: Path) -> list[Path]:
    """Write the figure as path.svg and path.png and return these; the same numbers give the same files."""
    from matplotlib import rc_context

    places = []
    with rc_context(
        {"svg.hashsalt": "fewshot"}
    ):  # as without a date: the same numbers give the same file
        for suffix in FORMATS:
            buffer = io.BytesIO()
            dated = {"metadata": {"Date": None}} if suffix == "svg" else {}
            figure.savefig(buffer, format=suffix, dpi=150, bbox_inches="tight", **dated)
            places.append(path.with_name(f"{path.name}.{suffix}"))
            write_bytes(places[-1], buffer.getvalue())
    return places


def blank(height: float, columns: int = 1) -> tuple[Any, Any]:
    """A figure `height` inches high and its axes, side by side where there are several: light grid, no frame."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(1, columns)
    for each in [axes] if columns == 1 else axes:
        each.grid(True, alpha=0.3)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=9)
    return figure, axes


def short(name: str, most: int = 22) -> str:
    """A class name that leaves room for the figure."""
    return name if len(name) <= most else f"{name[: most - 1]}…"
