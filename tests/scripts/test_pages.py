"""Oracles: pages written by hand, before and after."""

import sys
from pathlib import Path

import pytest

from scripts import pages

PAGE = """# Title

<!-- table: first -->

old

<!-- end of table -->

Text between.

<!-- table: second -->
<!-- end of table -->
"""


def test_each_table_is_put_between_its_mark_and_the_next_end() -> None:
    text = pages.filled(PAGE, {"first": "| a |", "second": "| b |", "no such mark": "| c |"})
    assert text == (
        "# Title\n\n<!-- table: first -->\n\n| a |\n\n<!-- end of table -->\n\nText between.\n\n"
        "<!-- table: second -->\n\n| b |\n\n<!-- end of table -->\n"
    )


def test_filling_a_page_again_changes_nothing() -> None:
    tables = {"first": "| a |", "second": "| b |"}
    text = pages.filled(PAGE, tables)
    assert pages.filled(text, tables) == text


def update(path: Path) -> None:
    pages.update([path], lambda: {"first": "| a |"}, "scripts.example")


def test_pages_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["example"])
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    update(path)
    assert path.read_text() == pages.filled(PAGE, {"first": "| a |"})


def test_a_check_reports_a_stale_page_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["example", "--check"])
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    with pytest.raises(SystemExit, match=r"page\.md is stale: run `python -m scripts\.example`"):
        update(path)
    assert path.read_text() == PAGE
    path.write_text(pages.filled(PAGE, {"first": "| a |"}))
    update(path)
