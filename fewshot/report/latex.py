"""Tables in LaTeX that fit a page of the class article, whatever their rows and columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fewshot.report import latex_layout
from fewshot.report.formatting import Cell, Table
from fewshot.report.latex_layout import COLUMN_GAP, Block, Layout, heading, side

PREAMBLE = r"\usepackage{array,booktabs,longtable,pdflscape,rotating}"
LETTERS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    '"': "''",
    "[": "{[}",  # at the start of a row it would belong to the row above, as would *
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "\u2212": "$-$",
    "\u2013": "--",
    "\u2014": "---",
    "\u2018": "`",
    "\u2019": "'",
    "\u201c": "``",
    "\u201d": "''",
    "\u2026": r"\ldots{}",
    "\u00a0": "~",
    "\u00b5": r"$\mu$",
    "\u00b2": r"$^2$",
    "\u00b0": r"$^\circ$",
    "\u00b7": r"$\cdot$",
    "\u00d7": r"$\times$",
    "\u03b1": r"$\alpha$",
    "\u03b2": r"$\beta$",
    "\u03bb": r"$\lambda$",
    "\u2192": r"$\to$",
    "\u2248": r"$\approx$",
    "\u2264": r"$\leq$",
    "\u2265": r"$\geq$",
}
RUN = "run"  # this column becomes a comment behind each row


def escaped(text: str) -> str:
    """Return text whose characters have no special meaning in LaTeX."""
    text = re.sub(r"^-(?=\d)", "\u2212", text)
    parts = ["".join(LETTERS.get(letter, letter) for letter in part) for part in text.split("--")]
    return "-{}-".join(parts)


def table(table: Table, caption: str, label: str, short: str = "") -> str:
    """Return an environment with a table; the document needs the packages of `PREAMBLE`.

    A wide table is set in blocks of columns or sideways, and a high one continues on the next page.
    Notes and the ids of runs are comments in the LaTeX source.

    Args:
        table: the cells.
        caption: of the table.
        label: for a reference.
        short: the caption in a list of tables; by default the whole one.
    """
    notes = [f"% {subject}: {sentence}" for subject, sentence in table.notes]
    runs, shown = _without_runs(table)
    layout = latex_layout.layout(shown, caption)
    title = rf"\caption[{{{escaped(short)}}}]" if short else r"\caption"
    title += f"{{{escaped(caption)}}}"
    lines = _long if layout.long else _short
    return "\n".join([*notes, *lines(shown, layout, runs, title, label)])


def _without_runs(table: Table) -> tuple[list[str], Table]:
    """Return a comment for each row, empty without the id of a run, and the other columns."""
    if RUN not in table.columns:
        return [""] * len(table.rows), table
    place = table.columns.index(RUN)
    rows = [[*row[:place], *row[place + 1 :]] for row in table.rows]
    columns = [name for name in table.columns if name != RUN]
    comments = [f" % run {row[place].text}" if row[place].text else "" for row in table.rows]
    return comments, table._replace(columns=columns, rows=rows)


def _head(table: Table, block: Block) -> list[str]:
    """Return the lines of the headings; a heading of several lines is a small table."""
    cells = []
    for column in block.columns:
        lines = [escaped(line) for line in heading(table, column)]
        joined = r" \\ ".join(lines)
        small = rf"\begin{{tabular}}[b]{{@{{}}{side(table, column)}@{{}}}}{joined}\end{{tabular}}"
        cells.append(joined if len(lines) == 1 else small)
    return [r"\toprule", " & ".join(cells) + r" \\", r"\midrule"]


def _body(table: Table, block: Block, runs: Sequence[str]) -> list[str]:
    def text(cell: Cell) -> str:
        return rf"\textbf{{{escaped(cell.text)}}}" if cell.bold else escaped(cell.text)

    lines = []
    for row, run in zip(table.rows, runs, strict=True):
        cells = [text(row[column]) for column in block.columns]
        lines.append(" & ".join(cells) + rf" \\{run}")
    return lines


def _short(table: Table, layout: Layout, runs: Sequence[str], title: str, label: str) -> list[str]:
    """Return a table that is on one page, its blocks of columns on top of each other."""
    name = "sidewaystable" if layout.sideways else "table"
    lines = [
        rf"\begin{{{name}}}[htbp]",
        r"\setlength{\belowcaptionskip}{6pt}",
        r"\centering" if len(layout.blocks) == 1 else r"\raggedright",
        title,
        rf"\label{{{label}}}",
        rf"\{layout.size}\setlength{{\tabcolsep}}{{{COLUMN_GAP / 2:g}pt}}",
    ]
    for number, block in enumerate(layout.blocks):
        if number:
            lines.append(r"\par\medskip")
        lines += [
            rf"\begin{{tabular}}{{{''.join(block.types)}}}",
            *_head(table, block),
            *_body(table, block, runs),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    return [*lines, rf"\end{{{name}}}"]


def _long(table: Table, layout: Layout, runs: Sequence[str], title: str, label: str) -> list[str]:
    """Return a table that continues on the next page, with its headings on every page."""
    lines = [r"\begin{landscape}"] if layout.sideways else []
    lines += [
        rf"{{\{layout.size}\setlength{{\tabcolsep}}{{{COLUMN_GAP / 2:g}pt}}",
        r"\setlength{\LTcapwidth}{\linewidth}",
    ]
    for number, block in enumerate(layout.blocks):
        n, head = len(block.columns), _head(table, block)
        again = rf"\multicolumn{{{n}}}{{l}}{{Table \thetable, continued}} \\"
        lines += [
            *([r"\addtocounter{table}{-1}"] if number else []),
            rf"\begin{{longtable}}{{{''.join(block.types)}}}",
            again if number else rf"{title}\label{{{label}}} \\",
            *head,
            r"\endfirsthead",
            again,
            *head,
            r"\endhead",
            r"\midrule",
            rf"\multicolumn{{{n}}}{{r}}{{continued on the next page}} \\",
            r"\endfoot",
            r"\bottomrule",
            r"\endlastfoot",
            *_body(table, block, runs),
            r"\end{longtable}",
        ]
    lines[-1] += "}"
    return [*lines, r"\end{landscape}"] if layout.sideways else lines
