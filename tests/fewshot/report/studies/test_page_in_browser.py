"""The HTML page in a browser: keys, links, widths, colours. Oracle: what the browser computes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fewshot.study_results import Planned

pytestmark = pytest.mark.slow
RISING = ["method scratch", "method probe", "method finetune", "method experts"]
FIRST_CELLS = """rows => rows.map(row => row.cells[0].textContent)"""
OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(20, 24, 29)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium here: install the package chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """A page that is open, with its messages and requests."""

    def __init__(self, browser: Any, file: Path, width: int, **options: Any) -> None:
        size = {"width": width, "height": 844}
        self.page = browser.new_page(viewport=size, **options)
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())


@pytest.fixture
def index(reported: tuple[Planned, Path, Path]) -> Path:
    return reported[2] / "index.html"


def test_columns_sort_by_keyboard(browser: Any, index: Path) -> None:
    visit = Visit(browser, index, 1280)
    page = visit.page
    page.evaluate("location.hash = 'kshot-K8'")
    table = page.locator("#kshot-K8 table.sortable").first
    button = table.locator("th button", has_text=re.compile("^measured$"))
    rows = table.locator("tbody tr")
    for key, order, expected in (
        ("Enter", "ascending", RISING),
        ("Space", "descending", RISING[::-1]),
    ):
        button.focus()
        page.keyboard.press(key)
        assert table.locator("th[aria-sort]").get_attribute("aria-sort") == order
        assert rows.evaluate_all(FIRST_CELLS) == expected
    assert visit.messages == []
    assert visit.requests == [index.as_uri()]


@pytest.mark.parametrize("width", [390, 1280, 1400])
def test_no_part_is_wider_than_the_page(browser: Any, index: Path, width: int) -> None:
    page = Visit(browser, index, width).page
    assert page.evaluate(OVERFLOW) <= 0
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    page.wait_for_timeout(200)
    assert page.evaluate(OVERFLOW) <= 0
    # Every box that is wider than its place says so.
    boxes = "boxes => boxes.map(box => [box.scrollWidth > box.clientWidth + 1, "
    hints = page.locator(".scroll").evaluate_all(boxes + "box.classList.contains('wide')])")
    assert hints
    assert all(wide == hinted for wide, hinted in hints)
    assert any(wide for wide, _ in hints) or width > 390


def test_a_link_opens_its_row(browser: Any, index: Path) -> None:
    page = Visit(browser, index, 1280).page
    row = page.locator("details#kshot-K9")
    assert row.get_attribute("open") is None
    page.locator("nav a[href='#kshot-K9']").click()
    page.wait_for_timeout(200)
    assert row.get_attribute("open") is not None
    assert 0 <= row.bounding_box()["y"] < 844


@pytest.mark.parametrize(
    ("scheme", "before", "after"), [("light", LIGHT, DARK), ("dark", DARK, LIGHT)]
)
def test_the_reader_chooses_light_or_dark(
    browser: Any, index: Path, scheme: str, before: str, after: str
) -> None:
    page = Visit(browser, index, 1280, color_scheme=scheme).page
    assert page.evaluate(BACKGROUND) == before
    page.locator("button.theme").click()
    assert page.evaluate(BACKGROUND) == after


def test_the_page_reads_without_script(browser: Any, index: Path) -> None:
    visit = Visit(browser, index, 390, java_script_enabled=False)
    assert visit.page.get_by_role("heading", level=2).first.is_visible()
    row = visit.page.locator("details#kshot-K8")
    row.locator("summary").first.click()
    assert row.locator("table").first.is_visible()
    assert visit.page.get_by_role("button").count() == 0
