"""Result files gathered for a study: the order of groups and of a search, known beforehand."""

from __future__ import annotations

from pathlib import Path

from fewshot.report.studies import gathering, results
from fewshot.runs.run_record import RunRecord
from tests.fewshot import study_results
from tests.fewshot.study_results import cell, record, row, save


def test_groups_come_with_rising_budgets(tmp_path: Path) -> None:
    one = row("kshot", "K9", "Prototypical network")
    names = ("protonet-16", "probe-1", "probe-5", "finetune-p0.005", "finetune-p0.1")
    cells = [cell(name, name, place) for place, name in enumerate(names)]
    for asked in cells:
        save(tmp_path, one, asked, record(asked.name))
    (study,) = gathering.gather([(one, cells)], tmp_path, "small")
    budgets = [group.budget for group in results.groups(study.rows[0].cells)]
    assert budgets == [
        "0.5% of the training images",
        "10% of the training images",
        "1 label per class",
        "5 labels per class",
        "16 labels per class",
    ]


def test_the_cells_of_a_search_are_in_the_order_of_its_steps(tmp_path: Path) -> None:
    planned = study_results.searched(tmp_path)
    (study,) = gathering.gather(planned, tmp_path, "small")
    values = [one.values for one in study.rows[0].cells]
    assert [one["train.lr"] for one in values[:3]] == [0.01, 0.05, 0.5]
    assert [one["train.batch_size"] for one in values[3:5]] == [64, 128]
    assert {one["network"] for one in values[5:]} == {"H2"}
    assert study.orphans == 0


def test_the_setting_of_a_cell_leaves_out_its_label_budget(tmp_path: Path) -> None:
    one, asked = row("kshot", "K9", "Two"), cell("a", "shots 16, our preset")
    save(tmp_path, one, asked, record("probe-16"), values={"shots": 16})
    (study,) = gathering.gather([(one, [asked])], tmp_path, "small")
    (measured,) = study.rows[0].cells
    assert measured.setting == "our preset"
    assert measured.mean == record("probe-16")["scores"]["accuracy"]["mean"]


def test_the_title_of_a_cell_names_the_one_network_that_ran() -> None:
    measured = RunRecord.from_json(record("probe-16"))
    own = results.CellResult("a", "a", {}, {}, "done", record=measured, scale="small")
    scales = {"small": {"title": "two networks in ResNet18's place, k-shot"}}
    both = results.RowResult(row("kshot", "K7", "ResNet18", scales=scales), [])
    for name in ("mini-resnet", "lite0 with ImageNet weights"):
        stand_in = f"{name} in ResNet18's place"
        assert both.system(own._replace(stand_in=stand_in)) == f"{stand_in}, k-shot"
    assert both.system(own._replace(record=None)) == "ResNet18"
    other = both._replace(row=row("kshot", "K7", "A frozen network"))
    stand_in = "mini-resnet in VGG's place"
    assert other.system(own._replace(stand_in=stand_in)) == f"A frozen network, {stand_in}"
    assert other.system(own) == "A frozen network"
