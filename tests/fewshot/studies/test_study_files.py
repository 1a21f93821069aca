"""Oracle: the systems of the four reports, listed here, and counts that the reports state."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fewshot import config
from fewshot.backbones import views
from fewshot.learners.base import Task
from fewshot.runs import run_settings
from fewshot.studies import grids, schema
from fewshot.studies.grids import Cell
from fewshot.studies.results import ResultStore
from fewshot.studies.schema import Row
from fewshot.training import optim

STUDIES = Path(__file__).parents[3] / "configs" / "studies"
NAMES = {
    "causes": [f"C{number}" for number in range(1, 10)],
    "architectures": [f"A{number}" for number in range(1, 7)],
    "experts": [f"E{number}" for number in range(1, 13)],
    "hyperparameters": [f"H{number}" for number in range(1, 10)],
    "kshot": [f"K{number}" for number in range(1, 16)],
}
ROWS = [row for row in schema.read([STUDIES]) if not row.episodic]
IMAGENET = "tf_efficientnet_lite0, ImageNet weights"  # a value of the axis network
BY_NAME = {row.name: row for row in ROWS}
RUNS = [row for row in ROWS if row.kind in ("grid", "search")]


def test_every_row_is_there() -> None:
    names: dict[str, list[str]] = {}
    for row in ROWS:
        names.setdefault(row.study, []).append(row.name)
    assert names == NAMES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_scales_state_what_they_change(row: Row) -> None:
    for name in schema.SCALES:
        scale = row.scale(name)
        unchanged = scale.model_copy(update={"seconds": None}) == schema.Scale()
        assert scale.cuts or unchanged or row.kind == "vote", f"{row.name}, scale {name}"
    assert row.question.endswith("?")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_scale_full_changes_at_most_the_trials_and_which_cells_run(row: Row) -> None:
    changed = row.scale("full").model_dump(exclude_defaults=True)
    assert set(changed) <= {"trials", "only", "drop", "seconds", "cuts"}


@pytest.mark.parametrize("scale", schema.SCALES)
@pytest.mark.parametrize("row", RUNS, ids=lambda row: row.name)
def test_cells_have_names_of_their_own_and_their_settings_are_valid(row: Row, scale: str) -> None:
    cells = every_cell(row, scale)
    assert len({cell.name for cell in cells}) == len(cells)
    assert len({cell.label for cell in cells}) == len(cells)
    for cell in cells:
        preset = cell.settings.get("preset") or "few"
        settings = run_settings.configure(cell.settings, preset).model_dump()
        for axis, value in cell.values.items():
            named = any(isinstance(block.get(axis), dict) for block in row.grid)
            if not named and ("." in axis or axis in settings):
                assert value_at(settings, axis) == value


def value_at(settings: Any, key: str) -> Any:
    for part in key.split("."):
        settings = settings[part]
    return settings


def whole(row: Row) -> Row:
    """Return the row without what its scales leave out."""
    return row.model_copy(update={"scales": {}})


def every_cell(row: Row, scale: str) -> list[Cell]:
    """Return all cells; of a search those of all steps, as if the first value were always best."""
    if row.kind == "grid":
        return grids.cells(row, scale)
    cells = []
    for start in grids.searches(row, scale):
        chosen = dict(start)
        for number, step in enumerate(row.steps):
            cells += grids.step_cells(row, scale, number, chosen)
            axis, values = grids.axis_of(step)
            chosen[axis] = values[0]
    return cells


@pytest.mark.parametrize("row", RUNS, ids=lambda row: row.name)
def test_every_reported_number_belongs_to_a_cell(row: Row) -> None:
    cells = every_cell(whole(row), "full")
    for numbers in row.reported:
        assert any(numbers.at.items() <= cell.values.items() for cell in cells), numbers.at


def test_the_number_of_images_that_the_slides_leave_open_is_shown_as_16_and_5() -> None:
    for number in range(6, 16):
        trained = set()
        cells = grids.cells(BY_NAME[f"K{number}"], "full")
        for cell in cells:
            validation = cell.settings.get("validation") or {"share": 0}
            trained.add(round(cell.settings["shots"] * (1 - validation["share"])))
        assert trained == {16, 5}, number
        assert all(cell.settings["shots"] != 5 for cell in cells if cell.reported), number


def test_the_72_settings_of_the_cnn_all_run_at_scale_small() -> None:
    sizes = [len(grids.cells(BY_NAME["A4"], scale)) for scale in ("small", "full")]
    assert sizes == [72, 72]


def settings_of(cell: Cell) -> config.RunConfig:
    """Return a cell's settings without the name of the preset."""
    settings = run_settings.configure(cell.settings, cell.settings.get("preset", "full"))
    return settings.model_copy(update={"preset": None})


def cell_of(row: str, scale: str, **values: Any) -> Cell:
    """Return the only cell of a row that has these values, apart from variants of the network."""
    (cell,) = [
        cell
        for cell in grids.cells(BY_NAME[row], scale)
        if values.items() <= cell.values.items() and IMAGENET not in cell.values.values()
    ]
    return cell


@pytest.mark.parametrize("network", ["H1", "H2"])
def test_the_l2_of_the_search_is_lambda_times_the_squared_weights_of_the_head(
    network: str,
) -> None:
    chosen = {"network": network, "train.lr": 0.01, "train.batch_size": 64, "learner.dropout": 0.2}
    penalty = 0.7
    (cell,) = [
        cell
        for cell in grids.step_cells(BY_NAME["H5"], "small", 3, chosen)
        if penalty in cell.values.values()
    ]
    settings = settings_of(cell)
    assert settings.train is not None
    backbone = config.BackboneSettings(name="vgg", options={"width": 4})
    settings = settings.model_copy(update={"backbone": backbone})
    learner: Any = run_settings.build_learner(settings, Task(10), seed=0).eval()  # without dropout
    slow = copy.deepcopy(learner)
    optim.set_trainable(learner, settings.train.phases[0].trainable)
    optimizer = optim.optimizer(learner, settings.train, settings.train.lr)
    trainable = slow.parameters() if network == "H1" else slow.head.parameters()
    sgd = torch.optim.SGD(trainable, lr=0.01)
    images, labels = torch.rand(3, 20, 3, 32, 32), torch.randint(10, (3, 20))
    for number in range(3):
        for model, stepper, weight in ((learner, optimizer, 0.0), (slow, sgd, penalty)):
            logits = model.head(model.backbone(images[number]))
            loss = nn.functional.cross_entropy(logits, labels[number])
            for layer in model.head:
                if isinstance(layer, nn.Linear):
                    loss = loss + weight * layer.weight.square().sum()
            stepper.zero_grad()
            loss.backward()
            stepper.step()
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert len(trained) == (18 if network == "H1" else 6)
    for (name, ours), theirs in zip(learner.named_parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_e10_names_the_augmentation_and_the_views_of_its_best_accuracy() -> None:
    """Oracle: the configuration in the published record of that accuracy."""
    results = STUDIES.parents[1] / "reports" / "records" / "experts" / "small" / "E10"
    record = json.loads((results / "one_shared_backbone.json").read_text())["record"]
    assert {"name": "auto_augment", "policy": "cifar10"} in record["config"]["augment"]
    assert views.N_VIEWS[record["config"]["backbone"]["views"]] == 12
    note = " ".join((BY_NAME["E10"].note or "").split())
    assert "AutoAugment's policy for CIFAR-10" in note
    assert "twelve views" in note


@pytest.mark.parametrize("scale", schema.SCALES)
def test_rows_about_the_same_run_have_the_same_settings(scale: str) -> None:
    pairs = [
        ("H4", {}, "H6", {"augmentation": "none"}),
        ("H8", {}, "H6", {"augmentation": "shift"}),
    ]
    pairs += [(name, {}, "H5", {"network": name, "train.lr": 0.01}) for name in ("H2", "H3")]
    for first, first_values, second, second_values in pairs:
        one, other = cell_of(first, scale, **first_values), cell_of(second, scale, **second_values)
        assert settings_of(one) == settings_of(other), (first, second)


def test_the_full_search_and_its_augmentations_are_the_385_models_of_the_report() -> None:
    search, augmentations = (whole(BY_NAME[name]) for name in ("H5", "H6"))
    stand_in = schema.Scale(drop=({"network": (IMAGENET,)},))
    search = search.model_copy(update={"scales": {"full": stand_in}})
    without_none = grids.count(augmentations, "full") - 1
    assert search.trials_at("full") * grids.count(search, "full") == 360
    assert augmentations.trials_at("full") * without_none == 25


@pytest.mark.slow
def test_all_studies_run_at_scale_smoke_and_give_a_report(tmp_path: Path) -> None:
    store = ResultStore("smoke", tmp_path / "runs", tmp_path / "runs" / "studies")
    fewshot = [sys.executable, "-m", "fewshot"]
    sweep = [*fewshot, "sweep", str(STUDIES), "--scale", "smoke", "--out", str(store.runs_folder)]
    process = subprocess.run(sweep, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-3000:]
    for row in ROWS:
        results = store.results_of(row)
        assert results, row.name
        for result in results:
            assert result["status"] in ("done", "not run"), (row.name, result["cell"])
    pages = tmp_path / "pages"
    report = [*fewshot, "report", str(STUDIES), "--scale", "smoke", "--out", str(pages)]
    process = subprocess.run(
        [*report, "--results", str(store.results_folder)], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    for name, rows in NAMES.items():
        page = (pages / f"{name}.md").read_text()
        assert [row for row in rows if f"## {row}: " not in page] == []
