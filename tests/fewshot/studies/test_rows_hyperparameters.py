"""Rows of studies hyperparameters and experts: what is particular to them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from fewshot import config
from fewshot.learners.base import Task
from fewshot.runs import resolve
from fewshot.studies import grids, schema, sweep
from fewshot.studies.grids import Cell
from fewshot.studies.results import ResultStore
from fewshot.studies.schema import Row
from fewshot.training import optim

STUDIES = config.presets_folder() / "studies"


def row(name: str) -> Row:
    (found,) = schema.read([STUDIES / "hyperparameters" / f"{name}.yaml"])
    return found


def settings_of(cell: Cell) -> config.RunConfig:
    return resolve.configure(cell.settings, cell.settings.get("preset", "full")).model_copy(
        update={"preset": None}
    )


def first(name: str, scale: str, **values: Any) -> Cell:
    (found,) = [
        each for each in grids.cells(row(name), scale) if values.items() <= each.values.items()
    ]
    return found


@pytest.mark.parametrize("network", ["H1", "H2"])
def test_the_searchs_l2_is_lambda_times_the_squared_weights_of_the_head(network: str) -> None:
    found = {"network": network, "train.lr": 0.01, "train.batch_size": 64, "learner.dropout": 0.2}
    penalty = 0.7
    (cell,) = [
        each
        for each in grids.step_cells(row("H5"), "small", 3, found)
        if penalty in each.values.values()
    ]
    settings = settings_of(cell)
    assert settings.train is not None
    settings = settings.model_copy(
        update={"backbone": config.BackboneSettings(name="vgg", options={"width": 4})}
    )
    learner = resolve.build_learner(settings, Task(10), seed=0).eval()  # without dropout
    slow = copy.deepcopy(learner)
    optim.set_trainable(learner, settings.train.phases[0].trainable)
    optimizer = optim.optimizer(learner, settings.train, settings.train.lr)
    sgd = torch.optim.SGD(slow.parameters() if network == "H1" else slow.head.parameters(), lr=0.01)  # type: ignore[union-attr]
    images, labels = torch.rand(3, 20, 3, 32, 32), torch.randint(10, (3, 20))
    for number in range(3):
        for each, chosen, weight in ((learner, optimizer, 0.0), (slow, sgd, penalty)):
            loss = nn.functional.cross_entropy(
                each.head(each.backbone(images[number])), labels[number]
            )  # type: ignore[operator]
            squares = sum(
                part.weight.square().sum() for part in each.head if isinstance(part, nn.Linear)
            )  # type: ignore[union-attr]
            chosen.zero_grad()
            (loss + weight * squares).backward()
            chosen.step()
    trained = [each for group in optimizer.param_groups for each in group["params"]]
    assert len(trained) == (18 if network == "H1" else 6)
    for (name, ours), theirs in zip(learner.named_parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


@pytest.mark.parametrize("scale", schema.SCALES)
def test_rows_that_tell_of_one_run_ask_for_one_run(scale: str) -> None:
    pairs = [
        ("H4", {}, "H6", {"augmentation": "none"}),
        ("H8", {}, "H6", {"augmentation": "shift"}),
    ]
    pairs += [(name, {}, "H5", {"network": name, "train.lr": 0.01}) for name in ("H2", "H3")]
    for one, values, other, others in pairs:
        assert settings_of(first(one, scale, **values)) == settings_of(
            first(other, scale, **others)
        ), (one, other)


def test_the_full_search_and_its_augmentations_are_the_reports_385_models() -> None:
    with_none = grids.count(row("H6"), "full") - 1
    assert row("H5").trials_at("full") * grids.count(row("H5"), "full") == 360
    assert row("H6").trials_at("full") * with_none == 25


def test_a_scale_leaves_out_the_cells_that_it_drops(tmp_path: Path) -> None:
    (found,) = rows_of(
        tmp_path,
        X1={
            "base": {"method": "probe"},
            "grid": [{"train.lr": [1, 2], "shots": [1, 5, 9]}, {"shots": [1, 5]}],
            "scales": {"small": {"drop": [{"train.lr": [2], "shots": [5, 9]}]}},
        },
    )
    left = [tuple(cell.values.values()) for cell in grids.cells(found, "small")]
    assert left == [(1, 1), (1, 5), (1, 9), (2, 1), (1,), (5,)]
    assert grids.count(found, "full") == 8


def test_a_vote_takes_the_cells_that_its_scale_names(tmp_path: Path) -> None:
    base = {
        "method": "probe", "data": "digits", "full": True, "validation": {"share": 0.2}, "precision": "float32",
        "backbone": {"name": "baseline-cnn", "options": {"width": 2}},
    }  # fmt: skip
    vote = {"kind": "vote", "rows": ["X1", "X2"], "rules": ["soft"], "percents": [50]}
    scales = {"smoke": {"rows": {"X1": {"learner.c": [1.0, 3.0]}}}}
    rows = rows_of(
        tmp_path,
        X1={"base": base, "grid": [{"learner.c": [1.0, 2.0, 3.0]}], "trials": 1},
        X2={**vote, "rows": ["X1"]},
        X3={**vote, "scales": scales},
    )
    store = ResultStore("smoke", tmp_path / "runs", tmp_path / "runs" / "studies")
    sweep.run(rows, store)
    taken = {each["values"]["learner.c"]: each["run"] for each in store.results_of(rows[0])}
    assert [each["record"]["config"]["candidates"] for each in store.results_of(rows[1])] == [3]
    (found,) = store.results_of(rows[2])
    assert found["record"]["config"]["candidates"] == 2
    assert {each["run_id"] for each in found["record"]["members"]} < {taken[1.0], taken[3.0]}


def rows_of(folder: Path, **rows: dict[str, Any]) -> list[Row]:
    place = folder / "one"
    place.mkdir()
    for name, keys in rows.items():
        keys = {"title": "T", "question": "Q?", "source": "slide 1", **keys}
        (place / f"{name}.yaml").write_text(yaml.safe_dump(keys, sort_keys=False))
    return schema.read([place])
