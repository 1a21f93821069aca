"""Accuracy against the number of labels: one line a method, its 95% interval shaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fewshot import io
from fewshot.report.plots import style as drawing
from fewshot.runs.records import Record

MARKERS = "osD^vPX*<>"


class Line(NamedTuple):
    """A method's budgets, rising, and at each the mean accuracy and half its interval (0 for one draw)."""

    label: str
    budgets: list[float]
    means: list[float]
    halves: list[float]


class Panel(NamedTuple):
    """One data set's lines against shots or fraction, and the accuracies with all labels, as levels."""

    data: str
    budget: str
    lines: list[Line]
    levels: list[tuple[str, float]]


def panels(found: Sequence[Record]) -> list[Panel]:
    """A panel for each data set and kind of budget of which some method has two values or more.

    Methods are told apart by backbone, weights and preset. Of several records of one method at one budget the one
    with most draws is on its line; each other has a label of its own, with its run's id.
    """
    groups: dict[tuple[str, ...], dict[str, dict[float, Record]]] = {}
    full: dict[str, dict[str, float]] = {}
    for record in sorted(found, key=lambda each: (-len(each["seeds"]), each["run_id"])):
        images = record["provenance"]["data_fingerprint"]
        kind = (
            "shots"
            if record["shots"] is not None
            else "fraction"
            if record["fraction"] is not None
            else "full"
        )
        if kind == "full":
            full.setdefault(images, {}).setdefault(
                label_of(record), record["scores"]["accuracy"]["mean"]
            )
            continue
        methods = groups.setdefault((images, record["data"], kind), {})
        known = record[kind] in methods.get(label_of(record), {})
        label = f"{label_of(record)} {record['run_id']}" if known else label_of(record)
        methods.setdefault(label, {})[record[kind]] = record
    return [
        Panel(
            data,
            kind,
            [_line(*each) for each in sorted(methods.items())],
            sorted(full.get(images, {}).items()),
        )
        for (images, data, kind), methods in sorted(groups.items())
        if any(len(each) > 1 for each in methods.values())
    ]


def label_of(record: Record) -> str:
    """What tells a method from others in figures: its backbone, weights and preset, but for the usual presets."""
    words = [record["method"], record["backbone"]]
    words += (
        [Path(record["weights"]).name] if record["weights"] != "none" else ["from random weights"]
    )
    words += [f"({record['preset']})"] if record["preset"] not in ("few", "full", "random") else []
    return " ".join(words)


def _line(label: str, by_budget: dict[float, Record]) -> Line:
    budgets = sorted(by_budget)
    scores = [by_budget[budget]["scores"]["accuracy"] for budget in budgets]
    return Line(
        label, budgets, [each["mean"] for each in scores], [each["ci95"] or 0.0 for each in scores]
    )


def draw(panel: Panel, path: Path) -> list[Path]:
    """Write the panel as path.svg and path.png; accuracy in percent, labels on a logarithmic axis."""
    return drawing.save(_figure(panel), path)


def _figure(panel: Panel) -> Any:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    figure = Figure(figsize=(7.2, 4.6))
    axes = figure.subplots()
    # the key in the order in which the lines end, from the top
    for number, line in enumerate(sorted(panel.lines, key=lambda each: -each.means[-1])):
        means = [100 * mean for mean in line.means]
        drawn = axes.plot(
            line.budgets,
            means,
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            linewidth=1.5,
            label=line.label,
        )[0]
        low = [mean - 100 * half for mean, half in zip(means, line.halves, strict=True)]
        high = [mean + 100 * half for mean, half in zip(means, line.halves, strict=True)]
        axes.fill_between(line.budgets, low, high, color=drawn.get_color(), alpha=0.15, linewidth=0)
    for label, accuracy in panel.levels:
        axes.axhline(100 * accuracy, color="0.5", linestyle="--", linewidth=1)
        axes.annotate(
            f"{label}, all labels", (1, 100 * accuracy), xycoords=("axes fraction", "data"), xytext=(-3, 2),
            textcoords="offset points", ha="right", fontsize=7, color="0.35",
        )  # fmt: skip
    budgets = sorted({budget for line in panel.lines for budget in line.budgets})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(budgets))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel(
        "labelled images of every class"
        if panel.budget == "shots"
        else "share of the training images"
    )
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"{panel.data}: mean and 95% interval over draws", fontsize=10)
    axes.grid(True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def write(found: Sequence[Record], out: Path) -> list[Path]:
    """All panels as files in `out`, accuracy-<data>-<shots|fraction>.svg and .png; returns their paths."""
    places: list[Path] = []
    taken: dict[str, int] = {}
    for panel in panels(found):
        name = f"accuracy-{Path(panel.data).name}-{panel.budget}"
        taken[name] = taken.get(name, 0) + 1  # two folders may share a name
        if not places:
            io.make_folder(out)
        places += draw(panel, out / (name if taken[name] == 1 else f"{name}-{taken[name]}"))
    return places
