"""Which figures records of the episodic regime have, each with a description and its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from fewshot.report.episodic import groups
from fewshot.report.episodic.groups import Group, Pool, System
from fewshot.report.formatting import Cell, Table, counted, number
from fewshot.report.plots import task_plots
from fewshot.report.plots.study_plots import Figure
from fewshot.report.plots.task_plots import PERCENTILES, Boxes, Line, Method
from fewshot.runs.episodic.record import EpisodesRecord

MOST_LINES = 6  # in a figure with lines; more methods are rows of dots
FROZEN = " on frozen features"  # left out of labels if every method has it
MOST_PANELS = 2  # side by side in one figure
QUANTILES = (PERCENTILES[0], 25, 50, 75, PERCENTILES[1])


def of_pool(pool: Pool, some: Sequence[Group]) -> list[Figure]:
    """Return accuracy against the shots, and the accuracies of single tasks."""
    by_kind: dict[str, list[Group]] = {}
    for group in some:
        tasks = group.tasks
        fixed_words = f"{tasks.ways}-way, {groups.balance(tasks)}"
        words = groups.SHAPES.get(tasks.sampler, fixed_words)
        by_kind.setdefault(words, []).append(group)
    figures = []
    for words, alike in by_kind.items():
        figures += _against_shots(pool, words, alike)
        figures += _single_tasks(pool, words, alike)
    return figures


def _against_shots(pool: Pool, words: str, alike: Sequence[Group]) -> list[Figure]:
    names = _names(alike)
    by_system: dict[System, dict[int, EpisodesRecord]] = {}
    for group in alike:
        for record in group.records:
            shots = by_system.setdefault(groups.system_of(record), {})
            shots.setdefault(group.tasks.shots, record)
    lines = [_line(names[system], shots) for system, shots in by_system.items() if len(shots) > 1]
    if not lines:
        return []
    rows = [
        [Cell(line.method.label), number(shots, "d"), number(100 * mean, ".2f"),
         number(100 * half, ".2f")]
        for line in lines
        for shots, mean, half in zip(line.shots, line.means, line.halves, strict=True)
    ]  # fmt: skip
    columns = ["method", "shots", "mean", "half of the 95% interval"]
    title = f"{pool.title}, {words}"
    best = max(lines, key=lambda line: line.means[-1])
    alt = (
        f"Accuracy against the shots, {title}: {counted(len(lines), 'line')}. The highest at "
        f"{best.shots[-1]} shots is {best.method.label}, {100 * best.means[-1]:.1f}%."
    )
    table = Table("accuracy in percent, over tasks", columns, rows, [])
    draw = task_plots.against_shots if len(lines) <= MOST_LINES else task_plots.dots
    save = partial(draw, lines, title)
    return [Figure(_file("shots", pool, words), f"Accuracy by shots: {title}", alt, table, save)]


def _line(method: Method, by_shots: dict[int, EpisodesRecord]) -> Line:
    shots = sorted(by_shots)
    scores = [by_shots[one].accuracy for one in shots]
    return Line(
        method, shots, [score.mean for score in scores], [score.ci95 or 0.0 for score in scores]
    )


def _single_tasks(pool: Pool, words: str, alike: Sequence[Group]) -> list[Figure]:
    names = _names(alike)
    panels = [
        Boxes(
            f"{group.tasks.shots}-shot" if group.tasks.sampler == "fixed" else "",
            {names[groups.system_of(record)]: record.accuracies for record in group.records},
        )
        for group in alike
        if len(group.records) > 1
    ]
    figures: list[Figure] = []
    for start in range(0, len(panels), MOST_PANELS):
        part = panels[start : start + MOST_PANELS]
        title = f"{pool.title}, {words}"
        shots = ", ".join(filter(None, (panel.title for panel in part)))
        alt = (
            f"Box plots of the accuracy of single tasks, {title}{': ' if shots else ''}{shots}. "
            "Box: the middle half of the tasks, with the median; diamond: the mean; whiskers: "
            f"{PERCENTILES[0]}th to {PERCENTILES[1]}th percentile."
        )
        name = _file("tasks", pool, f"{words} {shots}")
        if start and any(figure.name == name for figure in figures):
            name += f"-{start // MOST_PANELS + 1}"  # tasks of the same shape, of other seeds
        figures.append(
            Figure(
                name,
                f"Accuracies of single tasks: {title}",
                alt,
                _quantiles(part),
                partial(task_plots.boxes, part),
            )
        )
    return figures


def _quantiles(panels: Iterable[Boxes]) -> Table:
    rows = []
    for panel in panels:
        for method, values in panel.values.items():
            cells = [number(100 * value, ".1f") for value in np.percentile(values, QUANTILES)]
            mean = number(100 * float(values.mean()), ".1f")
            rows.append([Cell(panel.title), Cell(method.label), number(len(values), "d"),
                         mean, *cells])  # fmt: skip
    columns = ["tasks", "method", "n", "mean", "5th percentile", "1st quartile", "median"]
    return Table(
        "accuracy of a task in percent", [*columns, "3rd quartile", "95th percentile"], rows, []
    )


def _names(alike: Sequence[Group]) -> dict[System, Method]:
    """Return the name of every system in these groups, distinct from all others."""
    first: dict[System, EpisodesRecord] = {}
    for group in alike:
        for record in group.records:
            first.setdefault(groups.system_of(record), record)
    labels = _shortened(groups.labels(list(first.values())))
    return {
        system: Method(label, record.transductive)
        for (system, record), label in zip(first.items(), labels, strict=True)
    }


def _shortened(labels: Sequence[str]) -> list[str]:
    """Return labels without the words in which all of them end, such as what they trained on."""
    if len(labels) < 2:
        return list(labels)
    if all(FROZEN in label for label in labels):
        labels = [label.replace(FROZEN, "") for label in labels]
    words = [label.split(" ") for label in labels]
    shared = 0
    while all(len(one) > shared + 1 and one[-1 - shared] == words[0][-1 - shared] for one in words):
        shared += 1
    return [" ".join(one[: len(one) - shared]).rstrip(",") for one in words]


def _file(kind: str, pool: Pool, words: str) -> str:
    """Return a file name such as "shots-cifar10-5-way-balanced-queries"."""
    split = f" {pool.split} {pool.part}" if pool.split else ""
    text = f"{kind} {pool.data}{split} {words}".lower()
    return re.sub(r"[^a-z0-9.]+", "-", text).strip("-")
