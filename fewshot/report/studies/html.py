"""One HTML page for any number of studies: nothing is fetched from anywhere, and it reads without script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fewshot.report.studies.pages import Page
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies.writing import HOW

TEMPLATE = Path(__file__).with_name("page.html")


def page(pages: Sequence[Page], drawn: Mapping[tuple[str, str], str]) -> str:
    """The page; drawn: the text of an SVG file by study and figure, an empty one where only words are compared."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    template = environment.from_string(TEMPLATE.read_text())

    def svg(study: str, figure: Figure) -> Markup:
        return Markup(
            inline(drawn.get((study, figure.name), ""), f"{study}-{figure.name}", figure.alt)
        )

    return template.render(pages=pages, how=HOW, svg=svg, title=_title(pages)) + "\n"


def _title(pages: Sequence[Page]) -> str:
    return f"{'Study' if len(pages) == 1 else 'Studies'} measured again: {', '.join(each.name for each in pages)}"


def inline(text: str, name: str, alt: str) -> str:
    """An SVG file as a part of the page: ids of its own, words for who does not see it, the colours of the page."""
    from markupsafe import escape

    body = re.search(r"<svg.*</svg>", text, re.S)
    if body is None:
        return ""
    found = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body[0], flags=re.S)
    found = re.sub(r'\bid="', f'id="{name}-', found)
    found = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', found)
    found = re.sub(r"url\(#", f"url(#{name}-", found)
    found = re.sub(r"#000000|#595959|#333333", "currentColor", found)
    found = re.sub(
        r'(<path [^>]*style=")fill: #ffffff(; opacity: [\d.]+)?', r"\1fill: none", found
    )  # not of letters
    size = re.search(r'width="([\d.]+)pt".*?viewBox="([^"]+)"', found, re.S)
    assert size is not None, "matplotlib writes both"
    head = (
        f'<svg role="img" viewBox="{size[2]}" '
        f'style="width:{float(size[1]) * 4 / 3:.0f}px" aria-labelledby="{name}-title">'
        f'<title id="{name}-title">{escape(alt)}</title>'
    )
    found = re.sub(r"<svg.*?>", lambda _: head, found, count=1, flags=re.S)
    return re.sub(r"\n\s*", "\n", found)


def words(text: str) -> str:
    """The page without its figures, for a comparison."""
    return re.sub(r"<svg.*?</svg>", "", text, flags=re.S)
