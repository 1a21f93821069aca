"""A study's page as Markdown and as LaTeX, and the index of studies; the numbers are those of its plain tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from fewshot.report.studies.pages import Line, Page, Section
from fewshot.report.studies.tables import Cell, Table
from fewshot.report.plots.study_plots import Figure

HOW = (
    "Measured: mean ± standard deviation (n-1) of the accuracy on test images over n draws, each with another labelled "
    "subset and another start; the interval is Student's t over the draws, all judged on the same test images. "
    "Difference: measured minus reported. Bold: the best of its table on test images, which flatters the best of many. "
    "Methods are compared by paired differences over common seeds, with 95% intervals; p is the chance of such a "
    "difference where there is none, corrected by Holm's method for the number of comparisons."
)
INDEX_MARK = "<!-- written by fewshot report -->"
SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": r"$<$", ">": r"$>$", "|": r"$|$",
    "\u2212": "$-$", "\u2013": "--", "\u2018": "`", "\u2019": "'", "\u201c": "``", "\u201d": "''",
    "\u00d7": r"$\times$", "\u03bb": r"$\lambda$", "\u00b0": r"\textdegree{}",
}  # fmt: skip


def markdown(page: Page) -> str:
    """The study: summary, figures, then each row with its tables."""
    parts = [
        f"# Study {page.name}",
        f"What was run: {page.counts}.",
        "\n".join(f"- {each}" for each in page.summary),
        HOW,
    ]
    parts += [_image(figure, page.name) for figure in page.figures]
    parts += [part for section in page.sections for part in _section(section, page.name)]
    return "\n\n".join(parts) + "\n"


def _section(section: Section, study: str) -> list[str]:
    parts = [f"## {section.name}: {section.title}", section.question, *section.found]
    for table in section.tables:
        parts += [f"**{_text(table.caption)}**", _rows(table), *_notes(table.notes)]
    parts += [_text(each) for each in section.absent]
    parts += _notes(section.remarks)
    return [*parts, *(_image(figure, study) for figure in section.figures)]


def _notes(notes: Sequence[tuple[str, str]]) -> list[str]:
    return ["\n".join(f"- {_text(name)}: {_text(note)}" for name, note in notes)] if notes else []


def _image(figure: Figure, study: str) -> str:
    return f"**{_text(figure.title)}**\n\n![{_text(figure.alt)}](figures/{study}/{figure.name}.svg)"


def _rows(table: Table) -> str:
    first = [f"| {' | '.join(table.columns)} |", f"|:--|{'--:|' * (len(table.columns) - 1)}"]
    return "\n".join(
        [*first, *(f"| {' | '.join(map(_markdown_cell, row))} |" for row in table.rows)]
    )


def _markdown_cell(cell: Cell) -> str:
    text = _text(cell.text).replace("|", "\\|")
    return f"**{text}**" if cell.bold else text


def _text(text: str) -> str:
    return re.sub(r"([<*_\[\]])", r"\\\1", text)


def latex(page: Page) -> str:
    """A table environment for each table; the document needs booktabs and adjustbox."""
    parts = [
        f"% Study {page.name}, scale {page.scale}. In the preamble: \\usepackage{{booktabs,adjustbox,textcomp}}"
    ]
    for section in page.sections:
        for place, table in enumerate(section.tables):
            label = f"tab:{page.name}-{section.name}" + (f"-{place + 1}" if place else "")
            parts.append(
                _latex_table(table, f"{section.name}: {section.title}. {table.caption}.", label)
            )
    return "\n\n".join(parts) + "\n"


def _latex_table(table: Table, caption: str, label: str) -> str:
    lines = [_latex_row(map(escaped, table.columns))]
    lines += [
        _latex_row(rf"\textbf{{{escaped(c.text)}}}" if c.bold else escaped(c.text) for c in row)
        for row in table.rows
    ]
    body = "\n".join([lines[0], r"\midrule", *lines[1:]])
    return (
        f"\\begin{{table}}[htbp]\n\\centering\n\\caption{{{escaped(caption)}}}\n\\label{{{label}}}\n"
        f"\\begin{{adjustbox}}{{max width=\\linewidth}}\n\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}\n"
        f"\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{adjustbox}}\n\\end{{table}}"
    )


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def escaped(text: str) -> str:
    text = re.sub(r"^-(?=\d)", "\u2212", text)
    return "".join(SPECIAL.get(each, each) for each in text)


def index(lines: Sequence[Line], out: Path, page: bool) -> str:
    """README.md of the folder: a row a study; rows of studies that are not among `lines` stay as they stand there."""
    rows = _kept(out / "README.md")
    rows |= {line.name: _index_row(line) for line in lines}
    others = sorted(
        path for path in out.glob("*.md") if path.stem not in rows and path.name != "README.md"
    )
    parts = [
        INDEX_MARK,
        "# Reports",
        "Each study measured again beside what its report states; the pages have every number with its interval.",
        "\n".join(
            [
                "| study | what was run | found | not reproduced, and why |",
                "|:--|:--|:--|:--|",
                *(rows[name] for name in sorted(rows)),
            ]
        ),
        "All in one page, with figures: [index.html](index.html)."
        if page or (out / "index.html").exists()
        else "",
    ]
    if others:
        parts.append(
            "\n".join(
                ["Other pages:", "", *(f"- [{_heading(each)}]({each.name})" for each in others)]
            )
        )
    return "\n\n".join(filter(None, parts)) + "\n"


def _kept(path: Path) -> dict[str, str]:
    found = (
        re.findall(r"^\| \[(\S+)\]\(\S+\.md\) \|.*$", path.read_text(), re.M)
        if path.exists()
        else []
    )
    lines = path.read_text().splitlines() if found else []
    return {name: line for name in found for line in lines if line.startswith(f"| [{name}](")}


def _index_row(line: Line) -> str:
    words = [_markdown_cell(Cell(each)) for each in (line.run, line.found, line.not_reproduced)]
    return f"| [{line.name}]({line.name}.md) | {' | '.join(words)} |"


def _heading(path: Path) -> str:
    match = re.search(r"^# (.+)$", path.read_text(), re.M)
    return match[1] if match else path.stem
