"""Turn an SVG file of matplotlib into a small part of an HTML page.

Letters become text, which readers can search and select and which needs a tenth of the bytes of
outlines. Coordinates have two decimals, those of long paths one, a tenth of a point.
"""

from __future__ import annotations

import itertools
import re
from functools import partial

# The comment that precedes the outlines of a line of text, and the outlines.
OUTLINES = re.compile(
    r"<!-- (?P<text>[^\n]*?) -->\s*<g (?P<style>style=\"[^\"]*\" )?"
    r"transform=\"(?P<place>translate\([^)]*\)(?: rotate\([^)]*\))?) scale\((?P<scale>[\d.]+) "
    r"[^)]*\)\">(?P<glyphs>.*?)</g>",
    re.S,
)
GLYPH = re.compile(r'<use xlink:href="#([^"]+)"(?: transform="translate\(([-\d.]+)[^"]*")?/>')
NUMBERS = re.compile(r'\b(?:d|x|y|width|height|transform|points)="[^"]*"')
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
LONG_PATH = 400  # characters of a path whose coordinates have one decimal
UNITS = 100  # of a glyph's coordinates per font size
USUAL_ADVANCE = 60.0  # of a glyph that no line of the figure continues after


def inline(text: str, name: str, alt: str) -> str:
    """Return an SVG file as a part of a page, with unique ids, a description and page colours.

    Args:
        text: the content of the file; one without an SVG element gives an empty string.
        name: what the ids of the part begin with.
        alt: a description in words.
    """
    from markupsafe import escape

    body = re.search(r"<svg.*</svg>", text, re.S)
    if body is None:
        return ""
    svg = re.sub(r"<metadata>.*?</metadata>", "", body[0], flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", _as_text(_rounded(svg)), flags=re.S)
    svg = _with_own_ids(svg, name)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.S)  # of lines; the page has the same rule
    svg = re.sub(r"#000000|#595959|#333333", "currentColor", svg)
    # White backgrounds become transparent; white letters (without such a style) stay.
    svg = re.sub(r'(<path [^>]*style=")fill: #ffffff(; opacity: [\d.]+)?', r"\1fill: none", svg)
    size = re.search(r'width="([\d.]+)pt".*?viewBox="([^"]+)"', svg, re.S)
    assert size is not None, "matplotlib writes both"
    head = (
        f'<svg role="img" viewBox="{size[2]}" '
        f'style="width:{float(size[1]) * 4 / 3:.0f}px" aria-labelledby="{name}-title">'
        f'<title id="{name}-title">{escape(alt)}</title>'
    )
    svg = re.sub(r"<svg.*?>", lambda _: head, svg, count=1, flags=re.S)
    svg = re.sub(r"<g>\s*</g>|<g/>|<defs>\s*</defs>", "", svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


def _rounded(svg: str) -> str:
    """Return the figure with coordinates of two decimals; text and opacities stay."""

    def attribute(match: re.Match[str]) -> str:
        if "scale(" in match[0]:  # of glyphs, which need all decimals
            return match[0]
        decimals = 1 if len(match[0]) > LONG_PATH else 2
        path = LONG_NUMBER.sub(partial(_shorter, decimals), match[0]).replace(" \n", " ")
        # Without curves, points that follow a point are lines without saying so.
        return path if re.search("[CQ]", path) else path.replace(" L ", " ")

    return NUMBERS.sub(attribute, svg)


def _shorter(decimals: int, number: re.Match[str]) -> str:
    return f"{float(number[0]):.{decimals}f}".rstrip("0").rstrip(".")


def _as_text(svg: str) -> str:
    """Return the figure with text elements in place of outlines of letters."""
    advances: dict[str, float] = {}
    for match in OUTLINES.finditer(svg):
        glyphs = _glyphs(match["glyphs"])
        for (glyph, start), (_, end) in itertools.pairwise(glyphs):
            advances[glyph] = max(end - start, advances.get(glyph, 0.0))

    def line(match: re.Match[str]) -> str:
        glyphs = _glyphs(match["glyphs"])
        if not glyphs:
            return ""
        last, start = glyphs[-1]
        scale = float(match["scale"])
        # Other fonts are stretched or squeezed to the width that the layout has assumed.
        width = scale * (start + advances.get(last, USUAL_ADVANCE))
        length = f'textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs"'
        place = LONG_NUMBER.sub(partial(_shorter, 2), match["place"])
        weight = 'font-weight="bold" ' if "-Bold-" in last else ""
        return (
            f'<text {match["style"] or ""}transform="{place}" font-size="{UNITS * scale:g}" '
            f"{weight}{length if len(glyphs) > 1 else ''}>{match['text']}</text>"
        )

    return OUTLINES.sub(line, svg)


def _glyphs(outlines: str) -> list[tuple[str, float]]:
    """Return the name of each glyph of a line of text and where it begins."""
    return [(name, float(start or 0.0)) for name, start in GLYPH.findall(outlines)]


def _with_own_ids(svg: str, name: str) -> str:
    """Return the figure with ids that begin with `name`, and without those that nothing uses."""
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    targets = {target for pair in used for target in pair if target}

    def own(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in targets else ""

    svg = re.sub(r'\s+id="([^"]*)"', own, svg)
    svg = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', svg)
    return re.sub(r"url\(#", f"url(#{name}-", svg)
