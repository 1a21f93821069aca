"""The answers of `fewshot forecast` as a table with sentences, as JSON and as figures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fewshot import io
from fewshot.errors import UserError
from fewshot.report.forecasting import model as forecast, learning_curve
from fewshot.report.plots import accuracy_curves as curves, style as drawing
from fewshot.report.forecasting.answer import DOUBLINGS, Answer, answer, labels
from fewshot.runs import records

RANKS = ("", "reached", "open", "beyond", "no rise", "too few")  # in the table from top to bottom


def tell(
    places: Sequence[Path],
    target: float | None,
    at: Sequence[float],
    out: Path | None,
    as_json: bool,
) -> tuple[str, list[Path]]:
    """The table and a sentence for each method, or JSON, of all low-data records found; and the figures written."""
    if target is not None and not 0 < target < 1:
        raise UserError(f"--target {target:g} is no accuracy between 0 and 1: write 90% as 0.9.")
    found = learning_curve.gather([record for _, record in records.find(places)])
    if not found:
        raise UserError(
            "none of the records is of the low-data regime: plan reads those that `fewshot run` writes."
        )
    answers = sorted((answer(curve, target, at) for curve in found), key=order)
    written = [] if out is None else _write(answers, target, out)
    if as_json:
        return json.dumps(
            [_plain(each, target) for each in answers], indent=1, allow_nan=False
        ), written
    return markdown(answers, target, at), written


def order(each: Answer) -> tuple[Any, ...]:
    rank = RANKS.index(each.kind)
    needed = next(
        (part for part in (each.needed.labels, each.needed.low) if part is not None), math.inf
    )
    return (
        each.curve.data,
        rank,
        needed,
        -each.forecast[-1].accuracy if each.forecast else 0.0,
        each.curve.label,
    )


def markdown(answers: Sequence[Answer], target: float | None, at: Sequence[float] = ()) -> str:
    """A table for each data set, the fewest labels needed first, and below it a sentence for each method."""
    from tabulate import tabulate

    parts = []
    for data in dict.fromkeys(each.curve.data for each in answers):
        group = [each for each in answers if each.curve.data == data]
        rows = [_row(each, target, at) for each in group]
        shown = [name for name in rows[0] if any(row[name] for row in rows)]
        table = tabulate(
            [[row[name] for name in shown] for row in rows], shown, "pipe", disable_numparse=True,
            colalign=["left", *["right"] * (len(shown) - 1)],
        )  # fmt: skip
        sentences = [
            f"- {each.curve.label}: {'; '.join([each.words, *each.curve.remarks])}."
            for each in group
        ]
        parts.append(
            "\n".join(
                [
                    f"**{data}**, labels a class, accuracy and its 95% interval",
                    "",
                    table,
                    "",
                    *sentences,
                ]
            )
        )
    return "\n\n".join(parts)


def _row(each: Answer, target: float | None, at: Sequence[float]) -> dict[str, str]:
    told = {point.labels: str(point) for point in each.forecast}
    last = each.curve.counts[-1]
    needed = {} if target is None else {f"labels for {target:g}": _needed(each)}
    return {
        "method": each.curve.label,
        **needed,
        "measured up to": f"{labels(last)}: {each.curve.means[-1]:.3f}",
        **{
            f"{n} times that": f"{labels(last * n)}: {told[last * n]}" if told else ""
            for n in DOUBLINGS
        },
        **{f"at {n:g}": told.get(n, "") for n in at},
    }


def _needed(each: Answer) -> str:
    low, middle, high = each.needed
    if each.kind == "reached" and low is not None and middle is not None:
        return f"{labels(middle)} ({labels(low, down=True)} " + (
            f"to {labels(high)})" if high is not None else "or more)"
        )
    if each.kind == "open" and low is not None:
        return f"{labels(low, down=True)} or more, if ever"
    return (
        f"over {labels(each.curve.counts[-1] * forecast.REACH)}"
        if each.kind == "beyond"
        else "not known"
    )


def _plain(each: Answer, target: float | None) -> dict[str, Any]:
    """The answer as JSON; labels are a class, needed null beyond REACH times what was measured or where not known."""
    curve = each.curve
    measured = zip(curve.counts.tolist(), curve.means.tolist(), curve.draws, strict=True)
    found: dict[str, Any] = {
        "data": curve.data,
        "method": curve.label,
        "measured": [
            {"labels": count, "accuracy": mean, "draws": n} for count, mean, n in measured
        ],
        "forecast": [point._asdict() for point in each.forecast],
    }
    if target is not None:
        found["target"] = {"accuracy": target, "answer": each.kind, **each.needed._asdict()}
    return {**found, "words": each.words, "remarks": curve.remarks}


def _write(answers: Sequence[Answer], target: float | None, out: Path) -> list[Path]:
    """A figure for each data set: forecast-<data>.svg and .png; returns their paths."""
    written: list[Path] = []
    io.make_folder(out)
    for data in dict.fromkeys(each.curve.data for each in answers):
        group = [each for each in answers if each.curve.data == data and each.band is not None]
        if group:
            written += drawing.save(
                _figure(data, group, target), out / f"forecast-{Path(data).name}"
            )
    return written


def _figure(data: str, group: Sequence[Answer], target: float | None) -> Any:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    figure = Figure(figsize=(7.2, 4.6))
    axes = figure.subplots()
    for number, each in enumerate(sorted(group, key=lambda each: -each.forecast[-1].accuracy)):
        curve, band = each.curve, each.band
        assert band is not None
        half = 196 * np.sqrt(curve.noise.diagonal())
        drawn = axes.errorbar(
            curve.counts, 100 * curve.means, half, fmt=curves.MARKERS[number % len(curves.MARKERS)], markersize=4,
            linewidth=1, label=curve.label,
        )[0]  # fmt: skip
        shown = band.counts <= each.forecast[-1].labels
        axes.plot(
            band.counts[shown],
            100 * band.middle[shown],
            "--",
            linewidth=1.5,
            color=drawn.get_color(),
        )
        axes.fill_between(
            band.counts[shown], 100 * band.low[shown], 100 * band.high[shown], color=drawn.get_color(), alpha=0.15,
            linewidth=0,
        )  # fmt: skip
    if target is not None:
        axes.axhline(100 * target, color="0.5", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(2, numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel("labelled images of every class")
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"{data}: measured, forecast and its 95% interval", fontsize=10)
    axes.grid(True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure
