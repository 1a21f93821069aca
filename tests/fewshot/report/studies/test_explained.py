"""Oracle: what the page of likely causes must say about rows and records written here."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from fewshot.report.studies import gathering, overview, pages, reported, writing
from fewshot.report.studies.results import Study
from fewshot.studies import grids
from tests.fewshot.study_results import Planned, record, row, save

CAUSE = "The pipeline clips images."


def study(folder: Path, shown: str = "yes", **more: Any) -> Study:
    explains = {"row": "experts/E6", "cause": CAUSE, "shown": shown}
    plan = row("causes", "C1", "Five pipelines", "Why so low?", explains=explains, **more)
    cells = grids.cells(plan, "small")
    methods = ("probe", "scratch", "finetune", "protonet", "siamese")
    for cell, name in zip(cells, methods, strict=False):
        save(folder, plan, cell, record(f"{name}-16"), values=cell.values)
    planned: Planned = [(plan, cells)]
    (gathered,) = gathering.gather(planned, folder, "small")
    return gathered


NAMED = {
    "grid": [{"pipeline": {"clipped": {}, "plain": {}}}],
    "reported": [{"at": {"pipeline": "clipped"}, "accuracy": 0.17}],
}


@pytest.mark.parametrize(
    ("shown", "sentence", "brief"),
    [
        ("yes", "The results show it.", "1 of 1 likely cause shown by the results"),
        ("no", "The results do not show it.", "0 of 1 likely cause shown by the results, 1 not"),
    ],
)
def test_the_page_begins_with_questions_and_likely_causes(
    tmp_path: Path, shown: str, sentence: str, brief: str
) -> None:
    gathered = study(tmp_path, shown, note="Because it\nis.", **NAMED)
    page = pages.page(gathered)
    assert page.headline is not None
    assert [[cell.text for cell in line] for line in page.headline.rows] == [
        ["C1", "experts/E6", "Why so low?", CAUSE, shown]
    ]
    assert page.findings == [f"{brief}."]
    assert (page.winners, page.compared, page.figures) == ([], [], [])
    (section,) = page.sections
    assert section.question == f"Why so low? Likely cause: {CAUSE} {sentence} Because it is."
    assert "note" not in dict(section.remarks)
    assert pages.line(gathered).best == brief
    assert section.question in writing.markdown(page)


def test_a_row_without_results_shows_nothing(tmp_path: Path) -> None:
    explains = {"row": "experts/E6", "cause": CAUSE, "shown": "no"}
    plan = row("causes", "C1", "Five pipelines", "Why so low?", explains=explains)
    (gathered,) = gathering.gather([(plan, grids.cells(plan, "small"))], tmp_path, "small")
    page = pages.page(gathered)
    assert page.headline is not None
    assert page.headline.rows[0][-1].text == "not measured"
    assert page.sections[0].question.endswith("No setting has run.")
    brief = "0 of 1 likely cause shown by the results, 1 not measured"
    assert pages.line(gathered).best == brief


def test_numbers_of_the_report_are_shown_but_counted_elsewhere(tmp_path: Path) -> None:
    gathered = study(tmp_path, **NAMED)
    assert reported.stated(gathered) == []
    assert pages.line(gathered)[-3:] == ("", "", "")
    (figure,) = pages.page(gathered).sections[0].figures
    means = [
        statistics.fmean(record(f"{name}-16")["scores"]["accuracy"]["values"])
        for name in ("probe", "scratch")
    ]
    assert [[cell.text for cell in line[:3]] for line in figure.table.rows] == [
        ["clipped", "17.00", f"{100 * means[0]:.2f}"],
        ["plain", "", f"{100 * means[1]:.2f}"],
    ]


def test_no_question_about_all_studies_is_answered_by_explaining_rows(tmp_path: Path) -> None:
    assert overview.of([study(tmp_path, **NAMED)], tmp_path) is None


def test_a_network_that_stands_in_everywhere_is_named_once(tmp_path: Path) -> None:
    gathered = study(
        tmp_path, stand_ins={"all": "a small network in EfficientNet's place"}, **NAMED
    )
    (figure,) = pages.page(gathered).sections[0].figures
    assert figure.title == "C1: accuracy by setting (a small network in EfficientNet's place)"
    assert [line[0].text for line in figure.table.rows] == ["clipped", "plain"]


def test_a_setting_with_many_numbers_is_a_line_for_each_other_setting(tmp_path: Path) -> None:
    grid = [{"train.weight_decay": [0, 0.001, 0.01, 0.1]}]
    gathered = study(tmp_path, grid=grid, labels={"train.weight_decay": "lambda"})
    (figure,) = pages.page(gathered).sections[0].figures
    assert [line[0].text for line in figure.table.rows] == [
        f"lambda {value}, nothing else changed" for value in ("0", "0.001", "0.01", "0.1")
    ]
    assert figure.title == "C1: accuracy by lambda"
    assert [path.suffix for path in figure.save(tmp_path / "figure")] == [".svg", ".pdf", ".png"]


def test_a_setting_with_numbers_and_none_is_a_line_of_its_numbers(tmp_path: Path) -> None:
    gathered = study(tmp_path, grid=[{"train.clip": [None, 0.5, 1, 2, 4]}])
    (figure,) = pages.page(gathered).sections[0].figures
    assert [line[0].text for line in figure.table.rows] == [
        f"clip {value}, nothing else changed" for value in ("0.5", "1", "2", "4")
    ]
