"""Write the page of a study as Markdown and HTML, and the index of all studies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fewshot.report import formatting
from fewshot.report.formatting import Cell, Finding, Table, escaped
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies.inline_svg import inline
from fewshot.report.studies.pages import Line, Overview, Page, Section

INDEX_MARK = "<!-- written by fewshot report -->"
INDEX_COLUMNS = (
    "study",
    "what was run",
    "reported accuracies exceeded at scale full",
    "exceeded at scale small",
    "exceeded with another network in the report's place",
    "best result",
)
UNREACHED = "What was not run at scale full"
ANSWER_MARKS = ("<!-- answer of several studies -->", "<!-- end of the answer -->")
TEMPLATE = Path(__file__).with_name("page.html")


def markdown(page: Page) -> str:
    """Return the page: headline table, findings, figures, and the details row by row."""
    parts = [f"# {page.title}", page.introduction]
    if page.headline is not None:
        parts += [escaped(page.headline.caption), _rows(page.headline)]
    if page.findings:
        parts += ["## Findings", "\n".join(f"- {sentence}" for sentence in page.findings)]
    parts.append(" ".join(filter(None, [f"Run: {page.counts}.", page.faults])))
    parts += [_image(figure, page.name) for figure in page.figures]
    if page.winners:
        parts += ["## The best system at each number of labels"]
        parts += [part for winner in page.winners for part in _finding(winner)]
    if page.compared:
        parts += ["## Measured against reported numbers"]
        parts += [escaped(part) for one in page.compared for part in _finding(one)]
    parts += [f"## {page.details}", page.how]
    for section in page.sections:
        parts += _section(section, page.name)
    if page.unreached is not None:
        caption = f"{escaped(page.unreached.caption)}."
        parts += [f"## {UNREACHED}", caption, _rows(page.unreached)]
    return "\n\n".join(parts) + "\n"


def _section(section: Section, study: str) -> list[str]:
    parts = [f"### {section.name}: {section.title}", *filter(None, [section.question])]
    for table in section.tables:
        parts += [f"**{escaped(table.caption)}**", _rows(table), *_notes(table.notes)]
    parts += [part for finding in section.findings for part in _finding(finding)]
    parts += map(escaped, section.absent)
    if section.remarks:
        parts += ["About this row:", *_notes(section.remarks)]
    return [*parts, *(_image(figure, study) for figure in section.figures)]


def _finding(finding: Finding) -> list[str]:
    if not finding.details:
        return [finding.sentence]
    return [finding.sentence, "\n".join(f"- {detail}" for detail in finding.details)]


def _notes(notes: Sequence[tuple[str, str]]) -> list[str]:
    if not notes:
        return []
    return ["\n".join(f"- {escaped(name)}: {escaped(note)}" for name, note in notes)]


def _image(figure: Figure, study: str) -> str:
    path = f"figures/{study}/{figure.name}"
    title = f"**{escaped(figure.title)}** ([PDF]({path}.pdf))"
    return f"{title}\n\n![{escaped(figure.alt)}]({path}.svg)"


def _rows(table: Table) -> str:
    rows = [[formatting.markdown_cell(cell) for cell in row] for row in table.rows]
    return formatting.markdown_table(table.columns, rows)


def studies_title(pages: Sequence[Page]) -> str:
    """Return the title of an HTML page for these studies."""
    names = formatting.joined([page.name for page in pages])
    return f"{'Study' if len(pages) == 1 else 'Studies'} {names}: what was measured"


def html(
    pages: Sequence[Page],
    drawn: Mapping[tuple[str, str], str],
    title: str,
    overview: Overview | None = None,
) -> str:
    """Return one HTML page for several studies; it fetches nothing and reads without script.

    Args:
        pages: the studies.
        drawn: the text of an SVG file by study and figure; without one the figure is left out.
        title: of the page.
        overview: what precedes the studies: questions about all of them, with their answers.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))

    def svg(study: str, figure: Figure) -> Markup:
        text = drawn.get((study, figure.name), "")
        return Markup(inline(text, f"{study}-{figure.name}", figure.alt))

    def is_text(table: Table, column: int) -> bool:
        return all(row[column].sort is None for row in table.rows)

    return (
        template.render(
            pages=pages,
            svg=svg,
            is_text=is_text,
            title=title,
            overview=overview,
            unreached=UNREACHED,
        )
        + "\n"
    )


def without_figures(page: str) -> str:
    """Return an HTML page without its figures, which differ between machines."""
    return re.sub(r"<svg.*?</svg>", "", page, flags=re.S)


def index(lines: Sequence[Line], out: Path, has_html: bool, about: Overview | None = None) -> str:
    """Return README.md of the folder: the short answer, a row for each study, and other pages.

    Studies that are not among `lines` keep the row that an existing README.md has for them, and a
    report of one study keeps the answer of several.

    Args:
        lines: of the studies.
        out: the folder.
        has_html: whether the page of several studies is written too.
        about: the questions about the studies.
    """
    rows = _existing(out / "README.md")
    rows |= {line.name: _index_row(line) for line in lines}
    others = sorted(
        path for path in out.glob("*.md") if path.stem not in rows and path.name != "README.md"
    )
    head = [f"| {' | '.join(INDEX_COLUMNS)} |", "|:--|:--|--:|--:|--:|:--|"]
    parts = [
        INDEX_MARK,
        "# Reports",
        *_answer(about if len(lines) > 1 else None, out / "README.md"),
        "\n".join([*head, *(rows[name] for name in sorted(rows))]),
        "Each study repeats the systems of a report and compares its numbers. The page of a study "
        "begins with its main table, and continues with findings and every row in detail. Every "
        "accuracy that a report states counts once. Scale full is the protocol of the report; "
        "scale small cuts images, epochs or networks.",
    ]
    if has_html or (out / "index.html").exists():
        parts.append("All studies on one page, with figures: [index.html](index.html).")
    if others:
        links = [f"- [{_heading(path)}]({path.name})" for path in others]
        parts.append("\n".join(["Other pages:", "", *links]))
    return "\n\n".join(parts) + "\n"


def _answer(about: Overview | None, path: Path) -> list[str]:
    """Return the first question with its answer, or that of an existing index."""
    if about is None:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return re.findall(f"{ANSWER_MARKS[0]}.*?{ANSWER_MARKS[1]}", text, re.S)
    question = about.questions[0]
    parts = [ANSWER_MARKS[0], f"## {question.title}", *map(escaped, question.sentences)]
    if question.table is not None:
        parts += [f"**{escaped(question.table.caption)}**", _rows(question.table)]
        parts += _notes(question.table.notes)
    if question.figure is not None:
        parts.append(_image(question.figure, about.name))
    return ["\n\n".join([*parts, "## Study by study", ANSWER_MARKS[1]])]


def _existing(path: Path) -> dict[str, str]:
    """Return the table rows of an existing index by study."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = {}
    for line in lines:
        match = re.match(r"\| \[(\S+)\]\(\S+\.md\) \|", line)
        if match:
            rows[match[1]] = line
    return rows


def _index_row(line: Line) -> str:
    best = formatting.markdown_cell(Cell(line.best))
    counts = f"{line.at_full} | {line.at_small} | {line.by_others}"
    return f"| [{line.name}]({line.name}.md) | {line.run} | {counts} | {best} |"


def _heading(path: Path) -> str:
    match = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.M)
    return match[1] if match else path.stem
