"""A real browser uses the page.

Oracle: `fewshot predict` with the model that the page offers, on the same photos; the requests of
the browser, none of which may leave this machine.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fewshot.model import own_photos

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

pytestmark = pytest.mark.slow
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 90_000  # milliseconds
SHOTS = os.environ.get("FEWSHOT_SHOTS")  # folder for pictures of the page, for people


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by Playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def address() -> Iterator[str]:
    """Start the page in a process of its own, and return its address."""
    pytest.importorskip("gradio", reason="the page needs Gradio")
    command = [sys.executable, "-m", "fewshot", "demo", "--no-browser", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of four labelled photos of two classes, and five more of each."""
    for name, count in (("labelled", 4), ("more", 5)):
        counts = {"red": count, "blue": count}
        own_photos.write(tmp_path / name, counts, first=0 if name == "labelled" else 50)
    for colour in ("red", "blue"):
        for path in (tmp_path / "more" / colour).iterdir():
            path.rename(tmp_path / "more" / f"{colour}-{path.name}")
        (tmp_path / "more" / colour).rmdir()
    return tmp_path


def _shot(tab: Tab, name: str) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(exist_ok=True)
        tab.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def _drop(tab: Tab, where: str, paths: list[Path]) -> None:
    tab.locator(f"#{where} input[type=file]").set_input_files([str(path) for path in paths])


def _wait_for_status(tab: Tab, text: str) -> None:
    tab.wait_for_function(
        "text => (document.querySelector('#status')?.innerText ?? '').replace(/\\s+/g, ' ')"
        ".includes(text)",
        arg=text,
        timeout=PATIENCE,
    )


def _download(tab: Tab, name: str, folder: Path) -> Path:
    with tab.expect_download(timeout=PATIENCE) as download:
        tab.locator(f"a[href='download/{name}']").click()
    path = folder / name
    download.value.save_as(str(path))
    return path


def _open(browser: Browser, address: str, width: int, height: int) -> tuple[Tab, list[str]]:
    tab = browser.new_context(
        viewport={"width": width, "height": height}, accept_downloads=True
    ).new_page()
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(address)
    tab.wait_for_selector("#status .tiles", timeout=PATIENCE)
    return tab, requests


def test_label_eight_photos_classify_ten_and_download(
    browser: Browser, address: str, photos: Path
) -> None:
    tab, requests = _open(browser, address, 1280, 900)
    for number, colour in enumerate(("red", "blue"), 1):
        tab.get_by_label("Name of a class").fill(colour)
        _drop(tab, "class-files", sorted((photos / "labelled" / colour).iterdir()))
        _wait_for_status(tab, f"{4 * number} labelled")
    more = sorted((photos / "more").iterdir())
    _drop(tab, "pile-files", more)
    _wait_for_status(tab, "10 without a label")
    _wait_for_status(tab, "Between 68% and 100% of new photos will get the right class")
    _shot(tab, "add")

    tab.get_by_role("tab", name="Results", exact=True).click()
    tab.locator("#results [role=gridcell]").get_by_text("blue", exact=True).first.click()
    tab.locator("#results-panel-neighbours img").first.wait_for(timeout=PATIENCE)
    assert "blue (0." in tab.locator("#results-panel-neighbours").inner_text()
    _shot(tab, "results")

    tab.get_by_role("tab", name="Save", exact=True).click()
    _shot(tab, "save")
    model = _download(tab, "model.fewshot", photos)
    table = _download(tab, "predictions.csv", photos)
    labels = _download(tab, "labels.csv", photos)
    assert len(labels.read_text().splitlines()) == 9

    command = [sys.executable, "-m", "fewshot", "predict", str(model), str(photos / "more")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = {row["file"]: row for row in csv.DictReader(printed.splitlines())}
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["file"] for row in rows] == [path.name for path in more]
    for row in rows:
        assert row["label"] == expected[row["file"]]["label"] == row["file"].split("-")[0]
        for name in ("probability", "known"):
            assert float(row[name]) == pytest.approx(float(expected[row["file"]][name]), abs=2e-6)
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []


def test_suggested_photos_are_labelled_by_a_click_on_a_phone(
    browser: Browser, address: str, photos: Path
) -> None:
    tab, _ = _open(browser, address, 390, 844)
    _drop(tab, "pile-files", sorted((photos / "more").iterdir()))
    _wait_for_status(tab, "10 without a label")
    tab.get_by_role("tab", name="Label", exact=True).click()
    panel = tab.locator("#suggested-panel")
    for number, colour in enumerate(("green", "yellow"), 1):
        panel.get_by_label("or a new class").fill(colour)
        panel.get_by_label("or a new class").press("Enter")
        _wait_for_status(tab, f"{number} labelled")
    panel.get_by_label("green", exact=True).click()
    _wait_for_status(tab, "3 labelled")
    _shot(tab, "phone-label")
    tab.get_by_role("tab", name="Add", exact=True).click()
    tab.locator("#labelled img").first.click()
    tab.get_by_role("button", name="Remove the label").click()
    _wait_for_status(tab, "2 labelled 8 without a label")
    tab.locator("#labelled img").first.click()
    tab.locator("#labelled-panel").get_by_role("button", name="Remove the photo").click()
    _wait_for_status(tab, "1 labelled 8 without a label")
    _shot(tab, "phone-add")
    tab.locator("#labelled img").first.click()
    tab.wait_for_function(  # the panel, which is below the photos, comes into sight
        "document.querySelector('#labelled-panel')?.getBoundingClientRect().top < innerHeight / 2"
    )
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.reload()  # nothing is lost
    _wait_for_status(tab, "1 labelled 8 without a label")


def test_files_that_are_no_photos_are_named_on_the_page(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    own_photos.write_broken(tmp_path, 1)
    tab, _ = _open(browser, address, 1280, 900)
    _drop(tab, "class-files", [tmp_path / "broken-00.jpg"])
    tab.get_by_text("name the class of the photos first").wait_for(timeout=PATIENCE)
    tab.get_by_label("Name of a class").fill("<b>cat</b>")
    _drop(tab, "class-files", [tmp_path / "broken-00.jpg"])
    tab.get_by_text("left out 1: broken-00.jpg").wait_for(timeout=PATIENCE)
    _wait_for_status(tab, "0 classes")
