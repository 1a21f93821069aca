"""The report of the checks as one web page with the images inside; it requests nothing else."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from episodes.datasets.decoding.decode import decode_upright
from episodes.datasets.decoding.image_formats import broken_image_errors, quiet_pillow
from episodes.datasets.names import readable_line
from episodes.types import Decoding
from fewshot.checks import report as reports
from fewshot.checks.findings import Finding, Place
from fewshot.checks.inspected import Inspected
from fewshot.checks.kinds import KINDS
from fewshot.checks.report import Report
from fewshot.io import make_folder, write_bytes

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_OF_A_KIND = 60  # findings that are shown
MOST_OF_A_CARD = 4  # images of a finding that are shown
SIDE = 240  # pixels of the longer side of an image on the page
SMALL = 64  # pixels; a smaller image is enlarged without smoothing
QUALITY = 80  # of JPEG
ANOTHER_FILE = "name another file with --page"
TEMPLATE = Path(__file__).with_name("page.html")


class Picture(NamedTuple):
    """An image on the page; the source is empty if it cannot be shown."""

    source: str
    name: str
    about: str
    is_small: bool


class Card(NamedTuple):
    """A finding on the page."""

    pictures: list[Picture]
    words: str


class Group(NamedTuple):
    """The findings of one kind; the layout is that of pairs, of single images or of text."""

    kind: str
    severity: str
    number: int
    heading: str
    remedy: Markup | str
    layout: str
    cards: list[Card]


def write(report: Report, path: Path) -> None:
    """Write the page of a report; its folder is made if necessary.

    Raises:
        UserError: the file cannot be written.
    """
    make_folder(path.parent, ANOTHER_FILE)
    write_bytes(path, html(report).encode(errors="replace"), ANOTHER_FILE)


def html(report: Report) -> str:
    """Return the page of a report."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    with quiet_pillow():
        groups = [_group(report, kind, number) for kind, number in report.counts().items()]
    return template.render(
        name=report.data.data, title=report.title(), notes=report.data.notes, groups=groups
    )


def _group(report: Report, kind: str, number: int) -> Group:
    about = KINDS[kind]
    cards = [_card(report, finding) for finding in report.of_kind(kind)[:MOST_OF_A_KIND]]
    n_pictures = max(len(card.pictures) for card in cards)
    return Group(
        kind,
        about.severity,
        number,
        f"{number:,} {reports.heading(kind, number)}",
        _with_code(about.remedy),
        "pairs" if n_pictures > 1 else "singles" if n_pictures else "texts",
        cards,
    )


def _with_code(text: str) -> Markup:
    """Return a text as HTML, with what is between backticks as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _card(report: Report, finding: Finding) -> Card:
    places = finding.places
    pictures = [_picture(report, place) for place in places[:MOST_OF_A_CARD]]
    more = len(places) - len(pictures)
    words = f"{finding.words} (and {more:,} more images)" if more > 0 else finding.words
    return Card(pictures, words)


def _picture(report: Report, place: Place) -> Picture:
    part = report.data if place.part == "data" else report.against
    about = [report.label_of(place)]
    if place.part == "against":
        about.append("in the test set")
    name = readable_line(place.name)
    if part is None or place.position is None:
        return Picture("", name, "", False)
    height, width = part.sizes[place.position].tolist()
    about.append(f"{width}x{height}")
    pixels = _pixels(part, place.position)
    is_small = max(pixels.shape[:2]) < SMALL
    return Picture(_data_uri(pixels, is_small), name, ", ".join(filter(None, about)), is_small)


def _pixels(part: Inspected, position: int) -> np.ndarray:
    """Return an image as it is stored, uint8 [h, w, 3]; or its middle square if it is no file."""
    if part.files is not None:
        try:
            return decode_upright(part.files[position], Decoding(SIDE // 2))
        except broken_image_errors():
            pass  # the file has changed since
    images = part.images if len(part.images) else part.thumbnails
    return images[position].permute(1, 2, 0).numpy()


def _data_uri(pixels: np.ndarray, is_small: bool) -> str:
    """Return an image as text; small ones as PNG, which changes no pixel."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    if is_small:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=QUALITY)
    kind = "png" if is_small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
