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
from fewshot.evaluation import learning_curve_model as model
from fewshot.report.forecasting import learning_curve
from fewshot.report.forecasting.answer import DOUBLINGS, Answer, answer, labels
from fewshot.report.formatting import markdown_table
from fewshot.report.plots import style
from fewshot.runs import records

KINDS = ("", "reached", "open", "beyond", "no rise", "too few")  # in the order of the table


def forecast(
    places: Sequence[Path],
    target: float | None,
    at: Sequence[float],
    out: Path | None,
    as_json: bool,
) -> tuple[str, list[Path]]:
    """Return the forecasts for all low-data records at these places.

    Args:
        places: records, run folders, or folders of them.
        target: the accuracy to reach; without it only forecasts are given.
        at: labels per class to forecast for, besides the next doublings.
        out: the folder for figures; None writes none.
        as_json: return JSON instead of a table.

    Returns:
        The text, and the paths of the figures.

    Raises:
        UserError: if the target is not between 0 and 1, or there is no low-data record.
    """
    if target is not None and not 0 < target < 1:
        raise UserError(f"--target {target:g} is not between 0 and 1: write 90% as 0.9.")
    curves = learning_curve.gather([record for _, record in records.load(places)])
    if not curves:
        raise UserError(
            "none of the records belongs to the low-data regime: a forecast needs records of "
            "`fewshot run`."
        )
    answers = sorted((answer(curve, target, at) for curve in curves), key=order)
    written = [] if out is None else _write(answers, target, out)
    if as_json:
        plain = [_plain(one, target) for one in answers]
        return json.dumps(plain, indent=1, allow_nan=False), written
    return markdown(answers, target, at), written


def order(one: Answer) -> tuple[Any, ...]:
    """Return the sorting key of an answer: by data set, kind, and the fewest labels needed."""
    known = [count for count in (one.needed.labels, one.needed.low) if count is not None]
    accuracy = one.forecast[-1].accuracy if one.forecast else 0.0
    kind = KINDS.index(one.kind)
    return one.curve.data, kind, known[0] if known else math.inf, -accuracy, one.curve.label


def markdown(answers: Sequence[Answer], target: float | None, at: Sequence[float] = ()) -> str:
    """Return a table for each data set, the fewest labels first, and a sentence per method."""
    parts = []
    for data in dict.fromkeys(one.curve.data for one in answers):
        group = [one for one in answers if one.curve.data == data]
        rows = [_row(one, target, at) for one in group]
        names = dict.fromkeys(name for row in rows for name in row)
        columns = [name for name in names if any(row.get(name) for row in rows)]
        table = markdown_table(columns, [[row.get(name, "") for name in columns] for row in rows])
        sentences = []
        for one in group:
            sentences.append(f"- {one.curve.label}: {'; '.join([one.words, *one.curve.remarks])}.")
        heading = f"**{data}**: labels per class, accuracy and its 95% interval"
        parts.append("\n".join([heading, "", table, "", *sentences]))
    return "\n\n".join(parts)


def _row(one: Answer, target: float | None, at: Sequence[float]) -> dict[str, str]:
    points = {point.labels: str(point) for point in one.forecast}
    last = one.curve.counts[-1]
    row = {"method": one.curve.label}
    if target is not None:
        row[f"labels for {target:g}"] = _needed(one)
    row["measured up to"] = f"{labels(last)}: {one.curve.means[-1]:.3f}"
    for factor in DOUBLINGS:
        count = last * factor
        row[f"{factor} times that"] = f"{labels(count)}: {points[count]}" if count in points else ""
    end = model.limit(one.curve)
    if end < 2 * last and end in points:
        row[f"at {end:g}"] = points[end]
    for count in at:
        row[f"at {count:g}"] = points.get(count, "")
    return row


def _needed(one: Answer) -> str:
    low, middle, high = one.needed
    if one.kind == "reached" and low is not None and middle is not None:
        upper = f"to {labels(high)}" if high is not None else "or more"
        return f"{labels(middle)} ({labels(low, down=True)} {upper})"
    if one.kind == "open" and low is not None:
        return f"{labels(low, down=True)} or more, if at all"
    if one.kind == "beyond":
        return f"over {labels(model.limit(one.curve))}"
    return "not known"


def _plain(one: Answer, target: float | None) -> dict[str, Any]:
    """Return an answer as JSON; numbers of labels are per class.

    A number of labels is null if it is unknown, or beyond what can be forecast.
    """
    curve = one.curve
    measured = []
    for count, mean, n in zip(
        curve.counts.tolist(), curve.means.tolist(), curve.trials, strict=True
    ):
        measured.append({"labels": count, "accuracy": mean, "trials": n})
    result: dict[str, Any] = {
        "data": curve.data,
        "method": curve.label,
        "measured": measured,
        "forecast": [point._asdict() for point in one.forecast],
    }
    if target is not None:
        result["target"] = {"accuracy": target, "answer": one.kind, **one.needed._asdict()}
    return {**result, "words": one.words, "remarks": curve.remarks}


def _write(answers: Sequence[Answer], target: float | None, out: Path) -> list[Path]:
    """Write a figure for each data set, forecast-<data>.svg, .pdf and .png; return the paths."""
    paths: list[Path] = []
    io.make_folder(out)
    for data in dict.fromkeys(one.curve.data for one in answers):
        group = [one for one in answers if one.curve.data == data and one.band is not None]
        if group:
            figure = _figure(data, group, target)
            paths += style.save(figure, out / f"forecast-{Path(data).name}")
    return paths


def _height(one: Answer) -> float:
    return 0.0 if one.band is None else -float(one.band.middle[-1])


@style.styled
def _figure(data: str, group: Sequence[Answer], target: float | None) -> Any:
    """Draw measured means with intervals, and the forecasts as dashed lines with bands."""
    canvas, axes = style.new(4.6)
    for number, one in enumerate(sorted(group, key=_height)):
        curve, band = one.curve, one.band
        assert band is not None
        half = 1.96 * np.sqrt(curve.noise.diagonal())
        ends = [np.minimum(half, curve.means), np.minimum(half, 1 - curve.means)]
        marker = style.MARKERS[number % len(style.MARKERS)]
        measured = axes.errorbar(
            curve.counts,
            100 * curve.means,
            100 * np.array(ends),
            fmt=marker,
            linewidth=1,
            label=curve.label,
        )
        colour = measured[0].get_color()
        shown = band.counts <= max([curve.counts[-1], *(point.labels for point in one.forecast)])
        axes.plot(band.counts[shown], 100 * band.middle[shown], "--", color=colour)
        low, high = 100 * band.low[shown], 100 * band.high[shown]
        axes.fill_between(band.counts[shown], low, high, color=colour, alpha=0.15, linewidth=0)
    if target is not None:
        axes.axhline(100 * target, color=style.GREY, linestyle=":", linewidth=1)
    ticks = [2.0**power for power in range(16)]
    low_tick, high_tick = axes.get_xlim()
    style.label_axis(axes, [tick for tick in ticks if low_tick <= tick <= high_tick], "shots")
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"{data}: measured accuracy, forecast and 95% intervals")
    canvas.legend(loc="outside lower center", ncols=2)
    return canvas
