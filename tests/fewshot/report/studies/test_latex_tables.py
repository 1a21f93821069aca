"""The LaTeX tables of a page, counted against the tables that the page has."""

from __future__ import annotations

from fewshot.report.formatting import Cell, Table
from fewshot.report.studies import latex_tables
from fewshot.report.studies.pages import Page, Section

TABLE = Table("of 2 labels", ["setting", "n"], [[Cell("a"), Cell("3", 3)]], [])


def page(headline: Table | None) -> Page:
    sections = [
        Section("K1", "Nets", "", [], [TABLE, TABLE], [], [], []),
        Section("K2", "Rates", "", [], [TABLE], [], [], []),
    ]
    return Page(
        "kshot", "Study kshot", "", "small", "", "", headline, [], [], [], [], "", "", sections
    )


def test_every_table_has_a_caption_and_a_label_of_its_own() -> None:
    text = latex_tables.document(page(TABLE))
    labels = ["kshot", "kshot-K1", "kshot-K1-2", "kshot-K2"]
    for label in labels:
        assert text.count(rf"\label{{tab:{label}}}") == 1
    assert text.count(r"\begin{table}") == len(labels)
    assert r"\caption[{K2: Rates}]{K2: Rates. of 2 labels.}" in text
    assert text.splitlines()[0].startswith("% Study kshot, scale small. In the preamble: \\use")
    assert latex_tables.document(page(None)).count(r"\begin{table}") == len(labels) - 1
