"""`fewshot report` of studies: Markdown, LaTeX, figures, one HTML page and an index."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fewshot import io
from fewshot.errors import UserError
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies import gathering, latex_tables, overview, pages, writing
from fewshot.report.studies.pages import Overview, Page
from fewshot.report.studies.results import DONE, Planned, Study
from fewshot.studies import schema

RUN_SETTINGS = "config.yaml"  # of a run's folder, beside its record
ALL = "index.html"  # the page of several studies; the page of one study has its name
log = logging.getLogger("fewshot")


def are_studies(places: Sequence[Path]) -> bool:
    """Return whether the places are study files, and not records.

    Raises:
        UserError: if both are named.
    """
    kinds = {_has_study_files(place) for place in places}
    if kinds == {True, False}:
        raise UserError("name either study files or records, not both: a report covers one kind.")
    return True in kinds


def _has_study_files(place: Path) -> bool:
    return any(file.name != RUN_SETTINGS for file in schema.files_in(place))


def from_files(
    places: Sequence[Path], out: Path | None, check: bool, scale: str, results_folder: Path
) -> int:
    """Report the study files at these places; see `report`."""
    return report(gathering.read(places, scale), out, check, scale, results_folder)


def report(
    planned: Planned, out: Path | None, check: bool, scale: str, results_folder: Path
) -> int:
    """Print the studies as Markdown, write their report, or check that a written one is current.

    Args:
        planned: rows, each with its cells.
        out: the folder of the report; None prints it instead.
        check: compare with the files in `out` instead of writing them; figures are not compared.
        scale: smoke, small or full; or `highest`, for each cell the highest one but smoke that has
            a result of it.
        results_folder: the folder with the results of `fewshot sweep`.

    Returns:
        The exit code: 1 if `check` finds a stale or missing file, otherwise 0.
    """
    studies = gathering.gather(planned, results_folder, scale)
    for study in studies:
        _warn(study, results_folder)
    documents = [pages.page(study) for study in studies]
    about = overview.of(studies, results_folder)
    if out is None:
        if check:
            raise UserError("--check compares with a written report: name its folder with --out.")
        print("\n".join(map(writing.markdown, documents)), end="")
        return 0
    if check:
        return check_written(_texts(studies, documents, about, out, {}), out)
    io.make_folder(out)
    drawn = draw(documents, out, about)
    for path, text in _texts(studies, documents, about, out, drawn).items():
        io.write_text(path, text)
        print(path)
    return 0


def _warn(study: Study, folder: Path) -> None:
    """Warn if a study has no results at its scale, or results that belong to no cell."""
    if not any(cell.status == DONE for row in study.rows for cell in row.cells):
        searched = schema.MEASURED if study.scale == schema.HIGHEST else (study.scale,)
        scales = [path.name for path in (folder / study.name).glob("*") if path.is_dir()]
        others = sorted(set(scales) - set(searched))
        hint = f"; there are results of scale {', '.join(others)}" if others else ""
        log.warning(f"{study.name}: no results of scale {' or '.join(searched)} in {folder}{hint}")
    if study.orphans:
        noun = "result" if study.orphans == 1 else "results"
        log.warning(
            f"{study.name}: {study.orphans} {noun} left out, because the study no longer has "
            "these settings"
        )


def _texts(
    studies: Sequence[Study],
    documents: Sequence[Page],
    about: Overview | None,
    out: Path,
    drawn: Mapping[tuple[str, str], str],
) -> dict[Path, str]:
    """Return the text of every file but the figures, by its path."""
    name = f"{documents[0].name}.html" if len(documents) == 1 else ALL
    texts = {out / f"{page.name}.md": writing.markdown(page) for page in documents}
    texts |= {out / f"{page.name}.tex": latex_tables.document(page) for page in documents}
    texts[out / name] = writing.html(documents, drawn, writing.studies_title(documents), about)
    readme = out / "README.md"
    if readme.exists() and not readme.read_text(encoding="utf-8").startswith(writing.INDEX_MARK):
        log.warning(f"{readme} was written by hand and is not changed")
    else:
        lines = [pages.line(study) for study in studies]
        texts[readme] = writing.index(lines, out, out / ALL in texts, about)
    return texts


def draw(
    documents: Sequence[Page], out: Path, about: Overview | None = None
) -> dict[tuple[str, str], str]:
    """Write every figure, and return the text of its SVG file by study and figure.

    Args:
        documents: the studies.
        out: the folder of the report; the figures of a study are in `figures`/<study>.
        about: the questions about all studies, whose figures are drawn too.
    """
    drawn = {}
    figures: dict[str, list[Figure]] = {}
    if about is not None:
        asked = [one.figure for one in about.questions if one.figure is not None]
        figures.setdefault(about.name, []).extend(asked)
    for page in documents:
        some = figures.setdefault(page.name, [])
        some += [*page.figures, *(one for section in page.sections for one in section.figures)]
    for name, some in figures.items():
        folder = out / "figures" / name
        if some:
            io.make_folder(folder)
        for figure in some:
            svg, *_ = figure.save(folder / figure.name)
            drawn[name, figure.name] = svg.read_text(encoding="utf-8")
    return drawn


def check_written(texts: Mapping[Path, str], out: Path) -> int:
    """Return 1, with a message for each, if written files are stale or missing; otherwise 0."""
    stale = []
    for path, text in texts.items():
        written = path.read_text(encoding="utf-8") if path.exists() else None
        if written is None or writing.without_figures(written) != writing.without_figures(text):
            stale.append(path)
            log.warning(f"{path} is stale: run the same command without --check")
    if not stale:
        print(f"{out} is up to date", file=sys.stderr)
    return 1 if stale else 0
