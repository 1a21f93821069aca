"""Box plots against the settings of a search made by hand, and against published records."""

from __future__ import annotations

import json
from pathlib import Path

from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies import box_plots, gathering, pages
from fewshot.report.studies.results import RowResult
from tests.fewshot.report.studies.reading import study
from tests.fewshot.study_results import Planned

ROOT = Path(__file__).parents[4]
RECORDS = ROOT / "reports" / "records"


def test_box_plots_hold_what_is_not_varied(reported: tuple[Planned, Path, Path]) -> None:
    page = pages.page(study(reported[0], reported[1], "hyperparameters"))
    rates, sizes = page.sections[0].figures
    assert [[line[at].text for at in (0, 2, 3)] for line in rates.table.rows] == [
        [network, rate, "10"]
        for network in ("network H1", "network H2")
        for rate in ("0.01", "0.05", "0.5")
    ]
    assert [line[2].text for line in sizes.table.rows] == ["64", "128"]


def test_panels_say_what_stands_in() -> None:
    titles = {
        line[0].text
        for figure in box_plots.of_row(published("hyperparameters", "H5"))
        for line in figure.table.rows
    }
    assert any("network H2" in title and "in EfficientNet-B0's place" in title for title in titles)


def test_untrained_learners_are_marked() -> None:
    row = published("experts", "E11")
    assert box_plots.of_row(row) == []  # one setting besides the labels
    cells = [
        cell._replace(values={**cell.values, "half": number % 2})
        for number, cell in enumerate(row.cells)
    ]
    marked = {}
    for value in of_setting(box_plots.of_row(row._replace(cells=cells)), "learner"):
        name, _, mark = value.partition("\n")
        marked[name] = mark == "(not trained)"
    assert marked == {
        content["values"]["learner"]: content["record"]["config"]["train"] is None
        and content["record"]["method"] != "probe"
        for content in map(json.loads, files("experts", "E11"))
    }


def test_a_box_never_pools_numbers_of_labels_or_networks() -> None:
    (drawn,) = box_plots.of_row(published("kshot", "K8"))
    expected: dict[tuple[int, str], int] = {}
    for content in map(json.loads, files("kshot", "K8")):
        record, values = content["record"], content["values"]
        if record["backbone"] == "mini-resnet":
            key = record["shots"], f"{values['train.lr']:g}"
            expected[key] = expected.get(key, 0) + len(record["seeds"])
    boxes = {}
    for line in drawn.table.rows:
        if line[1].text == "learning rate":
            shots = int(line[0].text.split(" ")[0])
            boxes[shots, line[2].text] = int(line[3].text)
    assert boxes == expected
    assert {shots for shots, _ in boxes} == {5, 16}


def test_panels_never_mix_scales() -> None:
    row = published("kshot", "K5")
    cells = [
        cell._replace(scale="full" if cell.values.get("train.lr") == 0.001 else cell.scale)
        for cell in row.cells
    ]
    (drawn,) = box_plots.of_row(row._replace(cells=cells))
    panels = {(line[0].text, line[1].text) for line in drawn.table.rows}
    assert panels == {
        ("scale full", "hidden units"),
        ("scale small", "hidden units"),
        ("scale small", "learning rate"),
        ("scale small", "dropout"),
        ("scale small", "L2"),
    }


def published(name: str, row: str) -> RowResult:
    planned = gathering.read([ROOT / "configs" / "studies" / name / f"{row}.yaml"], "small")
    (gathered,) = gathering.gather(planned, RECORDS, "small")
    return gathered.rows[0]


def files(name: str, row: str) -> list[str]:
    """Return the texts of the published results of a row."""
    folder = RECORDS / name / "small" / row
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.json"))]


def of_setting(figures: list[Figure], setting: str) -> list[str]:
    """Return the values of the boxes of one setting."""
    return [
        line[2].text for figure in figures for line in figure.table.rows if line[1].text == setting
    ]
