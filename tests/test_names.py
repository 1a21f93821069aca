"""Names on generated pages, against bodies and training in the raw result files.

Oracle: which body each network's name stands for, written here by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fewshot.report.formatting import Table
from fewshot.report.studies import gathering, pages, results
from fewshot.report.studies.pages import Page
from scripts import learners, readme, systems

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "reports" / "records"
STUDIES = ("architectures", "experts", "hyperparameters", "kshot")
BODIES = {  # as pages write a network -> as records write its body
    "ConvNeXt": "convnext",
    "ResNet-?18": "resnet18",
    "DenseNet": "densenet",
    "EfficientNet": "efficientnet",
    "MobileNet": "mobilenet",
}
# Words that say that another network ran.
REPLACED = r"(instead of|in( the place of)?) {name}[\w-]*('s place)?"
METHODS = {"K9": "Prototypical network", "K10": "Siamese network", "K11": "MAML"}


def page_of(study: str) -> Page:
    planned = gathering.read([ROOT / "configs" / "studies" / study], "highest")
    return pages.page(gathering.gather(planned, RECORDS, "highest")[0])


def records(study: str, row: str = "*") -> list[dict[str, Any]]:
    """Return the records of the results at the highest scale of each."""
    files = {
        path.relative_to(RECORDS / study / scale): path
        for scale in ("small", "full")
        for path in (RECORDS / study / scale).glob(f"{row}/*.json")
    }
    contents = [json.loads(path.read_text())["record"] for path in files.values()]
    return [content for content in contents if content and "backbone" in content]


def absent(some: list[dict[str, Any]]) -> list[str]:
    """Return the networks of which no record has the body."""
    bodies = {content["backbone"] for content in some}
    return [name for name, body in BODIES.items() if not any(body in one for one in bodies)]


def offences(texts: Iterator[str], names: list[str]) -> list[str]:
    """Return the texts with one of these names, unless they say that another network ran."""
    wrong = []
    for text in texts:
        for name in names:
            rest = re.sub(REPLACED.format(name=name), "", text)
            if re.search(name, rest):
                wrong.append(text)
    return wrong


def of_table(table: Table) -> Iterator[str]:
    yield table.caption
    for row in table.rows:
        words = [cell.text for cell in row]
        if "not run" not in words:
            yield " | ".join(words)


def of_figures(figures: Any) -> Iterator[str]:
    for figure in figures:
        yield figure.title
        yield figure.alt
        yield from of_table(figure.table)


def of_findings(findings: Any) -> Iterator[str]:
    for finding in findings:
        yield finding.sentence
        yield from finding.details


def of_page(page: Page) -> Iterator[str]:
    """Yield what stands above the rows: table, findings, figures and their legends."""
    assert page.headline is not None
    yield from of_table(page.headline)
    yield from page.findings
    yield from of_findings([*page.winners, *page.compared])
    yield from of_figures(page.figures)
    line = pages.line(gathering.gather(*_planned(page.name), "highest")[0])
    yield line.best


def _planned(study: str) -> tuple[results.Planned, Path]:
    return gathering.read([ROOT / "configs" / "studies" / study], "highest"), RECORDS


def of_section(section: pages.Section) -> Iterator[str]:
    yield f"{section.name}: {section.title}"
    yield section.question
    yield from of_findings(section.findings)
    yield from of_figures(section.figures)
    for table in section.tables:
        yield from of_table(table)


@pytest.mark.parametrize("study", STUDIES)
def test_no_network_stands_over_numbers_of_another_one(study: str) -> None:
    page = page_of(study)
    assert offences(of_page(page), absent(records(study))) == []
    for section in page.sections:
        if records(study, section.name):
            assert offences(of_section(section), absent(records(study, section.name))) == []


def test_tables_and_figures_of_likely_causes_name_no_network_that_did_not_run() -> None:
    for section in page_of("causes").sections:
        if contents := records("causes", section.name):  # questions name the report's networks
            texts = [section.title, *of_figures(section.figures)]
            texts += [text for table in section.tables for text in of_table(table)]
            assert offences(iter(texts), absent(contents)) == []


def test_a_network_over_numbers_of_another_one_is_noticed() -> None:
    mini_resnet = absent(records("kshot", "K8"))
    assert "ConvNeXt" in mini_resnet
    assert offences(iter(["K8: ConvNeXt-Tiny, ImageNet weights, k-shot"]), mini_resnet)
    assert offences(iter(["ResNet18 and mini-resnet in ConvNeXt-Tiny's place"]), mini_resnet)
    assert not offences(iter(["mini-resnet in ConvNeXt-Tiny's place, k-shot"]), mini_resnet)


def test_the_tables_of_learners_name_no_network_that_did_not_run() -> None:
    texts = [*learners.tables().values(), systems.table(), readme.methods(), readme.choices()]
    lines = (line for text in texts for line in text.splitlines())
    assert offences(lines, list(BODIES)) == []


@pytest.mark.parametrize("row", METHODS)
def test_a_method_that_was_not_trained_does_not_have_its_name(row: str) -> None:
    page = page_of("kshot")
    trained = {bool(content["config"]["train"]) for content in records("kshot", row)}
    assert trained == {True, False}
    named = [text for text in of_page(page) if METHODS[row] in text]
    assert named
    for text in named:
        assert "not trained" not in text.partition(METHODS[row])[2].partition(" K")[0]
        assert "shipped backbone" not in text
    untrained = [text for text in of_page(page) if row in text and "shipped backbone" in text]
    assert untrained
    assert all("not trained" in text for text in untrained)


def test_learners_of_e11_say_that_they_were_not_trained() -> None:
    page = page_of("experts")
    (section,) = [section for section in page.sections if section.name == "E11"]
    texts = [*of_page(page), *of_section(section)]
    named = [text for text in texts if re.search("MAML|prototypes|siamese", text)]
    assert len(named) > 20
    assert [text for text in named if "not trained" not in text] == []
