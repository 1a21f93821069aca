"""Box plots against the settings of a search made by hand, and the published row of learners."""

from __future__ import annotations

import json
from pathlib import Path

from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies import box_plots, pages, results
from tests.fewshot.report.studies.reading import study
from tests.fewshot.study_results import Planned

ROOT = Path(__file__).parents[4]


def test_box_plots_hold_what_is_not_varied(reported: tuple[Planned, Path, Path]) -> None:
    page = pages.page(study(reported[0], reported[1], "hyperparameters"))
    rates, sizes = page.sections[0].figures
    assert [[part.text for part in line[:3]] for line in rates.table.rows] == [
        [network, rate, "10"]
        for network in ("network H1", "network H2")
        for rate in ("0.01", "0.05", "0.5")
    ]
    assert [line[1].text for line in sizes.table.rows] == ["64", "128"]


def test_untrained_learners_are_marked_and_panels_say_what_stands_in() -> None:
    titles = {
        panel.text
        for panel in [
            line[0] for figure in published("hyperparameters", "H5") for line in figure.table.rows
        ]
    }
    assert any("network H2" in title and "in EfficientNet-B0's place" in title for title in titles)
    (learners,) = [one for one in published("experts", "E11") if one.name == "E11-learner"]
    marked = {}
    for line in learners.table.rows:
        name, _, mark = line[1].text.partition("\n")
        marked[name] = mark == "(not trained)"
    files = (ROOT / "reports" / "records" / "experts" / "small" / "E11").glob("*.json")
    contents = [json.loads(path.read_text()) for path in files]
    assert marked == {
        content["values"]["learner"]: content["record"]["config"]["train"] is None
        and content["record"]["method"] != "probe"
        for content in contents
    }


def published(name: str, row: str) -> list[Figure]:
    planned = results.read([ROOT / "configs" / "studies" / name / f"{row}.yaml"], "small")
    (gathered,) = results.gather(planned, ROOT / "reports" / "records", "small")
    return box_plots.of_row(gathered.rows[0])
