"""Read pages back into tables, and compute what they must contain from raw records."""

from __future__ import annotations

import re
import statistics
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fewshot.report.studies import gathering, results
from tests.fewshot.expected_intervals import accuracy_cell, with_test_images
from tests.fewshot.study_results import Planned


class Page(HTMLParser):
    """Tables as lists of rows of cells, tags that are open, attributes by tag, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


def study(planned: Planned, saved: Path, name: str) -> results.Study:
    return next(study for study in gathering.gather(planned, saved, "small") if study.name == name)


def expected(content: dict[str, Any], reported: float) -> dict[str, str]:
    """Return what a table must show, from a record's raw values alone."""
    accuracy, cost = content["scores"]["accuracy"], content["cost"]
    values = accuracy["values"]
    middle, n = statistics.fmean(values), len(values)
    cells = {
        "measured": accuracy_cell(values),
        "95% with test images": with_test_images(
            values, content["n_test"], accuracy.get("image_std")
        ),
        "n": str(n),
        "difference": f"{middle - reported:+.4f}",
    }
    seconds = cost["train_seconds"]
    if cost.get("feature_seconds") is not None:  # otherwise features are part of the adaptation
        calibration = cost.get("calibration_seconds") or 0
        seconds += cost["adapt_seconds"] - cost["feature_seconds"] + calibration
    cells["seconds per trial"] = f"{seconds:.1f}" if seconds else ""
    return cells


def rows_of(text: str, kind: str) -> list[dict[str, str]]:
    """Return every row of every table that names a run, as column -> text."""
    if kind == "html":
        tables = Page(text).tables
    elif kind == "md":
        blocks = re.findall(r"(?:^\|.*\n)+", text, re.M)
        lines = [
            [line for line in block.splitlines() if not re.match(r"\| :?-+:? \|", line)]
            for block in blocks
        ]
        tables = [
            [[one.strip() for one in line.strip("|").split("|")] for line in table_lines]
            for table_lines in lines
        ]
    else:
        tables = [_latex_table(part) for part in re.split(r"\\begin\{table\}", text)[1:]]
    return [
        dict(zip(table[0], row, strict=True))
        for table in tables
        if "run" in table[0]
        for row in table[1:]
    ]


def _latex_table(text: str) -> list[list[str]]:
    """Return the rows of a LaTeX table, its blocks side by side, with the runs in the comments."""
    bodies = re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.S)
    lines = [re.findall(r"^(.*) \\\\(?: % run (\w+))?$", body, re.M) for body in bodies]
    rows = []
    for parts in zip(*lines, strict=True):
        cells = [_one_line(cell) for line, _ in parts for cell in line.split(" & ")]
        rows.append([*cells, parts[0][1]])
    if any(row[-1] for row in rows):
        rows[0][-1] = "run"
    return rows


def _one_line(cell: str) -> str:
    """Return a cell; the lines of a heading are a table of their own."""
    lines = re.fullmatch(r"\\begin\{tabular\}\[b\]\{@\{\}[lr]@\{\}\}(.*)\\end\{tabular\}", cell)
    return lines[1].replace(r" \\ ", " ") if lines else cell


def plain(text: str) -> str:
    text = re.sub(r"\\textbf\{(.*)\}", r"\1", text.replace(r"$\pm$", "±").replace("$-$", "-"))
    return text.replace("**", "").replace(r"95\%", "95%")
