"""`fewshot report` of studies: Markdown, LaTeX, figures, one HTML page and an index, from result files alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot import io
from fewshot.errors import UserError
from fewshot.report.studies import results as gathered, html, pages, writing as written
from fewshot.report.studies.results import Planned, Study
from fewshot.report.studies.pages import Page
from fewshot.studies import schema

RUN_SETTINGS = "config.yaml"  # of a run's folder, beside its record
ALL = "index.html"  # the page of several studies; one alone has its name


def named(places: Sequence[Path]) -> bool:
    """Whether study files are meant, and not records."""
    kinds = {_holds_studies(place) for place in places}
    if kinds == {True, False}:
        raise UserError("study files and records were named together: report one or the other.")
    return True in kinds


def _holds_studies(place: Path) -> bool:
    return any(file.name != RUN_SETTINGS for file in schema.files_in(place))


def tell(places: Sequence[Path], out: Path | None, check: bool, scale: str, found: Path) -> int:
    """`report` of the study files at the places."""
    return report(gathered.read(places, scale), out, check, scale, found)


def report(planned: Planned, out: Path | None, check: bool, scale: str, found: Path) -> int:
    """Print the studies as Markdown, or write their report to `out`, or say which of its files are stale.

    planned: rows, each with its cells; found: folder of the results of `fewshot sweep`. Returns the exit code: 1 where
    `check` finds a stale or missing file; figures are not compared.
    """
    studies = _studies(planned, scale, found)
    documents = [pages.page(each) for each in studies]
    if out is None:
        if check:
            raise UserError("--check compares with a written report: say where it lies with --out.")
        print("\n".join(map(written.markdown, documents)), end="")
        return 0
    if check:
        return _check(studies, documents, out)
    io.make_folder(out)
    drawn = _draw(documents, out)
    for path, text in _texts(studies, documents, out, drawn).items():
        io.write_bytes(path, text.encode())
        print(path)
    return 0


def _studies(planned: Planned, scale: str, found: Path) -> list[Study]:
    studies = gathered.gather(planned, found, scale)
    for each in studies:
        if not any(cell.status == gathered.DONE for told in each.rows for cell in told.cells):
            others = sorted(
                path.name
                for path in (found / each.name).glob("*")
                if path.is_dir() and path.name != scale
            )
            there = f"; there are some of scale {', '.join(others)}" if others else ""
            print(f"{each.name}: no results of scale {scale} in {found}{there}", file=sys.stderr)
        if each.strangers:
            many = f"{each.strangers} {'result' if each.strangers == 1 else 'results'}"
            print(f"{each.name}: {many} of cells that it no longer has, left out", file=sys.stderr)
    return studies


def _texts(
    studies: Sequence[Study],
    documents: Sequence[Page],
    out: Path,
    drawn: dict[tuple[str, str], str],
) -> dict[Path, str]:
    """Every file but the figures, by its path."""
    name = f"{documents[0].name}.html" if len(documents) == 1 else ALL
    texts = {out / f"{each.name}.md": written.markdown(each) for each in documents}
    texts |= {out / f"{each.name}.tex": written.latex(each) for each in documents}
    texts[out / name] = html.page(documents, drawn)
    readme = out / "README.md"
    if readme.exists() and not readme.read_text().startswith(written.INDEX_MARK):
        print(f"{readme} was written by hand and is left as it is", file=sys.stderr)
    else:
        texts[readme] = written.index(
            [pages.line(each) for each in studies], out, out / ALL in texts
        )
    return texts


def _draw(documents: Sequence[Page], out: Path) -> dict[tuple[str, str], str]:
    drawn = {}
    for document in documents:
        figures = [
            *document.figures,
            *(figure for section in document.sections for figure in section.figures),
        ]
        if figures:
            io.make_folder(out / "figures" / document.name)
        for figure in figures:
            svg, _ = figure.draw(out / "figures" / document.name / figure.name)
            drawn[document.name, figure.name] = svg.read_text()
    return drawn


def _check(studies: Sequence[Study], documents: Sequence[Page], out: Path) -> int:
    stale = []
    for path, text in _texts(studies, documents, out, {}).items():
        there = path.read_text() if path.exists() else None
        if there is None or html.words(there) != html.words(text):
            stale.append(path)
            print(f"{path} is stale: run the same command without --check", file=sys.stderr)
    if not stale:
        print(f"{out} is up to date", file=sys.stderr)
    return 1 if stale else 0
