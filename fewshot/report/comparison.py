"""Comparison pages of any records; regimes and label budgets are never mixed in one table."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fewshot import io
from fewshot.errors import UserError
from fewshot.report import (
    comparison_tables,
    costs,
    formatting,
    known_faults,
    labels,
    latex,
    uncertainty,
)
from fewshot.report.comparison_tables import Group
from fewshot.report.plots import accuracy_by_method, accuracy_curves
from fewshot.report.plots.accuracy_by_method import Result
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord

FILE, LATEX = "comparison.md", "comparison.tex"
HOW_TO_READ = (
    f"{uncertainty.HOW_INTERVALS} Difference to the highest accuracy: paired over common trials. "
    f"{uncertainty.HOW_BOLD} {costs.SECONDS}"
)
IN_A_PAPER = (
    f"For a paper: the tables are in [{LATEX}]({LATEX}), and every figure is also a PDF file. "
    "Figures show the mean and its 95% interval over trials."
)


class Named(NamedTuple):
    """A group, and the name of its figure and its label in LaTeX."""

    name: str
    group: Group

    @property
    def has_figure(self) -> bool:
        """Whether there is something to compare."""
        return len(self.group.records) > 1


def report(places: Sequence[Path], out: Path | None, check: bool) -> int:
    """Print the tables of all records at these places, or write or check their page in `out`.

    The page has LaTeX tables and figures beside it: accuracy by method for each number of labels,
    and accuracy against the number of labels if there are several.

    Returns:
        The exit code: 1 if `check` finds a stale or missing file, otherwise 0.
    """
    rows = [record for _, record in records.load(places)]
    if out is None:
        if check:
            raise UserError("--check compares with a written table: name its folder with --out.")
        print(markdown(rows))
        return 0
    texts = {out / FILE: page(rows), out / LATEX: in_latex(rows)}
    if check:
        return _check(texts)
    io.make_folder(out)
    for path, text in texts.items():
        io.write_text(path, text)
    for written in (*texts, *accuracy_curves.write(rows, out), *_draw(rows, out)):
        print(written)
    return 0


def _check(texts: dict[Path, str]) -> int:
    """Say which files are up to date; return 1 if one is not, otherwise 0."""
    code = 0
    for path, text in texts.items():
        fresh = path.exists() and path.read_text(encoding="utf-8") == text
        state = "up to date" if fresh else "stale: run the same command without --check"
        print(f"{path} is {state}", file=sys.stderr)
        code |= not fresh
    return int(code)


def page(rows: Sequence[RunRecord]) -> str:
    """Return the page: methods by label budget, then a table and a figure for each budget."""
    curves = [
        _figure(name, f"Accuracy against the number of labels, {panel.data}.")
        for name, panel in accuracy_curves.named(rows).items()
    ]
    parts = ["# Comparison", overview(rows), *curves, HOW_TO_READ, IN_A_PAPER]
    for one in named(rows):
        parts += [_heading(one.group, "## "), comparison_tables.markdown(one.group)]
        if one.has_figure:
            parts.append(_figure(one.name, f"Accuracy by method, {one.group.title}."))
    parts.append(known_faults.sentence(rows))
    return "\n\n".join(filter(None, parts)) + "\n"


def _figure(name: str, alt: str) -> str:
    return f"{formatting.picture(Path(f'{name}.svg'), alt)}\n\n[This figure as PDF]({name}.pdf)"


def in_latex(rows: Sequence[RunRecord]) -> str:
    """Return two LaTeX tables for each label budget: accuracies, and further measures."""
    parts = [f"% Comparison of runs. In the preamble: {latex.PREAMBLE}"]
    for name, group in named(rows):
        main, further = comparison_tables.for_paper(group)
        label = f"tab:{name}"
        parts.append(latex.table(main, main.caption, label, group.title))
        title = f"Further measures: {group.title}"
        parts.append(latex.table(further, further.caption, f"{label}-further", title))
    return "\n\n".join(parts) + "\n"


def named(rows: Sequence[RunRecord]) -> list[Named]:
    """Return the groups of a page with names that differ, such as "methods-digits-4-labels"."""
    names: dict[str, int] = {}
    result = []
    for group in groups(rows):
        words = f"{Path(group.records[0].data).name} {formatting.budget_of(group.records[0])}"
        words = words.removesuffix(" per class").replace("%", " percent")
        name = f"methods-{re.sub(r'[^A-Za-z0-9]+', '-', words).strip('-')}"
        names[name] = names.get(name, 0) + 1  # two folders may share a name
        result.append(Named(name if names[name] == 1 else f"{name}-{names[name]}", group))
    return result


def _draw(rows: Sequence[RunRecord], out: Path) -> list[Path]:
    """Write a figure for each group of several runs: trials, means and intervals by method."""
    paths: list[Path] = []
    for one in filter(lambda one: one.has_figure, named(rows)):
        some = one.group.records
        results = []
        for label, record in zip(labels.distinct(some), some, strict=True):
            score = record.scores["accuracy"]
            results.append(Result(label, score.values, score.mean, score.over_trials()))
        paths += accuracy_by_method.draw(results, one.group.title, out / one.name)
    return paths


def overview(rows: Sequence[RunRecord]) -> str:
    """Return accuracy by method and labels per class for each data set with several budgets."""
    by_data: dict[tuple[str, str], list[RunRecord]] = {}
    for record in sorted(rows, key=lambda record: (len(record.seeds), record.run_id)):
        if record.shots is not None and not record.class_shots:
            by_data.setdefault((record.data, record.images), []).append(record)
    parts = []
    for (data, _), some in by_data.items():
        budgets = sorted({record.shots for record in some if record.shots is not None})
        if len(budgets) < 2:
            continue
        by_label: dict[str, dict[int | None, str]] = {}
        for label, record in zip(labels.distinct(some), some, strict=True):
            accuracy = formatting.interval(record.scores["accuracy"])
            by_label.setdefault(label, {})[record.shots] = accuracy
        lines = [
            [label, *(cells.get(shots, "") for shots in budgets)]
            for label, cells in by_label.items()
        ]
        lines.sort(key=lambda line: [cell or "0" for cell in line[:0:-1]], reverse=True)
        table = formatting.markdown_table(["method", *map(str, budgets)], lines)
        parts.append(f"{data}: accuracy ± 95% by the number of labels per class.\n\n{table}")
    return "\n\n".join(parts)


def markdown(rows: Sequence[RunRecord], brief: bool = False) -> str:
    """Return a heading and a table for every regime, data set and label budget.

    Args:
        rows: the records, in any order.
        brief: only the columns that fit a terminal.
    """
    parts = [
        f"{_heading(group)}\n\n{comparison_tables.markdown(group, brief)}" for group in groups(rows)
    ]
    return "\n\n".join(filter(None, [*parts, known_faults.sentence(rows)]))


def groups(rows: Sequence[RunRecord]) -> list[Group]:
    """Return the records that may be compared with each other: same images, same labels."""
    by_task: dict[tuple[str, ...], list[RunRecord]] = {}
    for record in sorted(rows, key=_order):
        # Two folders may share a name and sizes, and runs of one cross-validation may have
        # different numbers of trials.
        shared = [comparison_tables.title(record), comparison_tables.details(record)]
        if record.folds is not None:
            shared = [formatting.budget_of(record)]
        by_task.setdefault((*shared, record.images), []).append(record)
    return list(map(comparison_tables.group, by_task.values()))


def _order(record: RunRecord) -> tuple[Any, ...]:
    return record.regime, record.data, record.labels, record.method, record.run_id


def _heading(group: Group, level: str = "") -> str:
    """Return the heading of a table: bold, or a section if `level` is "## "."""
    if level:
        return f"{level}{group.title}\n\n({group.details})"
    return f"**{group.title}** ({group.details})"
