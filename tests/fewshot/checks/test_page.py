"""The page of a check. Oracles: an HTML parser, Pillow, and a real browser in the slow tier."""

from __future__ import annotations

import base64
import io
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from fewshot.checks import page
from fewshot.checks.check import check
from tests.fewshot.checks import photos


class Parser(HTMLParser):
    """The sources of the images of each card, and everything that a browser would request."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cards: list[list[str]] = []
        self.requests: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("class") == "card":
            self.cards.append([])
        links = [values[name] or "" for name in ("src", "href", "action") if name in values]
        self.requests += [link for link in links if not link.startswith("data:")]
        if tag == "img":
            self.cards[-1].append(values["src"] or "")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("page")
    folder = photos.save(place / "photos <b>&", 6)
    photos.plant(folder)
    kinds = ["broken", "exact copy", "same image in two classes", "dark", "tiny"]
    page.write(check(str(folder), only=kinds), place / "new" / "check.html")
    return place / "new" / "check.html"


def test_pairs_stand_side_by_side_and_nothing_is_requested(written: Path) -> None:
    parser = Parser(written.read_text(encoding="utf-8"))
    assert parser.requests == []
    assert sorted(map(len, parser.cards)) == [0, 1, 1, 2, 2]  # a broken file has no image
    for source in parser.cards[2]:
        kind, _, text = source.partition(",")
        with Image.open(io.BytesIO(base64.b64decode(text))) as image:
            assert (image.format, image.size) == ("JPEG", (96, 96)), kind


def test_names_are_text_and_no_code(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert "photos &lt;b&gt;&amp;" in text
    assert "<b>&" not in text


def test_without_faults_the_page_says_so(tmp_path: Path) -> None:
    report = check(str(photos.save(tmp_path / "photos", 3)), only=["broken"])
    assert "No fault was detected." in page.html(report)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1200, 900), (390, 844)])
def test_the_page_fits_and_filters_in_a_browser(written: Path, width: int, height: int) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        pytest.skip("no Chromium here: install the package chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        window = browser.new_page(viewport={"width": width, "height": height})
        requests: list[str] = []
        errors: list[str] = []
        window.on("request", lambda request: requests.append(request.url))
        window.on("console", lambda message: errors.append(message.text))
        window.goto(written.as_uri())
        assert window.evaluate("document.documentElement.scrollWidth") == width
        assert window.locator("section:visible").count() == 5
        window.get_by_role("button", name="exact copy").click()
        assert window.locator("section:visible").count() == 1
        first, second = (box.bounding_box() for box in window.locator("figure:visible").all())
        assert first["y"] == second["y"]
        assert first["x"] + first["width"] <= second["x"]
        window.get_by_role("button", name="all").click()
        assert window.locator("section:visible").count() == 5
        browser.close()
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert errors == []
