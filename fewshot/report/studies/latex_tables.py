"""Write the tables of a page of the report in LaTeX, for a paper or a thesis."""

from __future__ import annotations

from fewshot.report import latex
from fewshot.report.studies.pages import Page


def document(page: Page) -> str:
    """Return every table of the page, below a comment that says what the preamble needs."""
    scale = f", scale {page.scale}" if page.scale else ""
    parts = [f"% {page.title}{scale}. In the preamble: {latex.PREAMBLE}"]
    if page.headline is not None:
        caption = f"{page.title}. {page.headline.caption}"
        parts.append(latex.table(page.headline, caption, f"tab:{page.name}", page.title))
    for section in page.sections:
        title = f"{section.name}: {section.title}"
        for index, table in enumerate(section.tables):
            label = f"tab:{page.name}-{section.name}" + (f"-{index + 1}" if index else "")
            parts.append(latex.table(table, f"{title}. {table.caption}.", label, title))
    if page.unreached is not None:
        caption, label = f"{page.title}. {page.unreached.caption}.", f"tab:{page.name}-unreached"
        parts.append(latex.table(page.unreached, caption, label, page.title))
    return "\n\n".join(parts) + "\n"
