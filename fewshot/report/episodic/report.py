"""`fewshot report` of the episodic regime: Markdown, LaTeX, HTML and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fewshot import io
from fewshot.errors import UserError
from fewshot.report.episodic import page
from fewshot.report.studies import latex_tables, writing
from fewshot.report.studies.pages import Page
from fewshot.report.studies.report import check_written, draw
from fewshot.runs.episodic import record


def report(places: Sequence[Path], out: Path | None, check: bool) -> int:
    """Print the tables of all episodic records at these places, or write or check their page.

    Returns:
        The exit code: 1 if `check` finds a stale or missing file, otherwise 0.
    """
    some = [one for _, one in record.load(places)]
    return write(page.page(page.of_records(some), some), out, check)


def write(document: Page, out: Path | None, check: bool) -> int:
    """Print a page as Markdown, write it with its figures, or check that a written one is current.

    Args:
        document: the page.
        out: folder of the page; None prints it instead.
        check: compare with the files in `out` instead of writing them; figures are not compared.

    Returns:
        The exit code: 1 if `check` finds a stale or missing file, otherwise 0.
    """
    if out is None:
        if check:
            raise UserError("--check compares with a written report: name its folder with --out.")
        print(writing.markdown(_without_figures(document)), end="")
        return 0
    if check:
        return check_written(_texts(document, out, {}), out)
    io.make_folder(out)
    for path, text in _texts(document, out, draw([document], out)).items():
        io.write_text(path, text)
        print(path)
    return 0


def _without_figures(document: Page) -> Page:
    sections = [section._replace(figures=[]) for section in document.sections]
    return document._replace(figures=[], sections=sections)


def _texts(document: Page, out: Path, drawn: Mapping[tuple[str, str], str]) -> dict[Path, str]:
    """Return the text of every file but the figures, by its path."""
    return {
        out / f"{document.name}.md": writing.markdown(document),
        out / f"{document.name}.tex": latex_tables.document(document),
        out / f"{document.name}.html": writing.html([document], drawn, "The episodic regime"),
    }
