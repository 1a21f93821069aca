"""Oracle: the cells of small grids, written out by hand."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from fewshot.errors import UserError
from fewshot.studies import grids, schema
from tests.fewshot.studies.rows import COMMON, row_of


def test_blocks_are_products_and_zipped_axes_change_together(tmp_path: Path) -> None:
    grid = [
        {"train.lr": [0.1, 0.01], "train.batch_size": [64, 96, 128]},
        {"zip": {"train.lr": [1.0, 2.0], "train.optimizer.name": ["adam", "sgd"]}, "shots": [1, 5]},
    ]
    row = row_of(tmp_path, base={"method": "scratch", "shots": 16}, grid=grid)
    cells = grids.cells(row, "full")
    expected = [
        {"train.lr": lr, "train.batch_size": size}
        for lr, size in itertools.product([0.1, 0.01], [64, 96, 128])
    ]
    for lr, name in [(1.0, "adam"), (2.0, "sgd")]:
        expected += [
            {"train.lr": lr, "train.optimizer.name": name, "shots": shots} for shots in (1, 5)
        ]
    assert [cell.values for cell in cells] == expected
    assert [cell.position for cell in cells] == list(range(10))
    assert len({cell.name for cell in cells}) == 10
    assert cells[-1].settings == {
        "method": "scratch",
        "shots": 5,
        "train": {"lr": 2.0, "optimizer": {"name": "sgd"}},
    }
    assert cells[0].label == "lr 0.1, batch_size 64"
    assert cells[0].name == "lr=0.1-batch_size=64"


def test_cells_of_the_episodic_regime_are_the_product_of_methods_and_shapes_of_tasks() -> None:
    keys = {
        **COMMON,
        "study": "episodes",
        "name": "X1",
        "kind": "episodes",
        "base": {"data": "digits", "tasks": {"count": 600}},
        "grid": [{"method": ["protonet", "ridge"], "tasks.shots": [1, 5]}],
    }
    cells = grids.cells(schema.Row.model_validate(keys), "full")
    expected = [
        {
            "regime": "episodic",
            "data": "digits",
            "method": method,
            "tasks": {"count": 600, "shots": shots},
        }
        for method, shots in itertools.product(["protonet", "ridge"], [1, 5])
    ]
    assert [cell.settings for cell in cells] == expected
    assert cells[1].label == "method protonet, shots 5"


def test_blocks_may_name_other_values_of_the_same_axis(tmp_path: Path) -> None:
    grid = [{"length": {"long": {"train.steps": 9}}}, {"length": {"short": {"train.steps": 2}}}]
    row = row_of(tmp_path, base={"method": "scratch", "shots": 1}, grid=grid)
    steps = {cell.label: cell.settings["train"]["steps"] for cell in grids.cells(row, "full")}
    assert steps == {"long": 9, "short": 2}


def test_the_cell_of_the_base_is_named_by_its_network_and_not_by_the_title_of_all(
    tmp_path: Path,
) -> None:
    named = {"network": {"lite0": {"backbone": {"name": "tf_efficientnet_lite0"}}}}
    both = {
        "base": {"method": "scratch", "shots": 1},
        "scales": {"small": {"title": "Two networks", "stand_ins": {"all": "one for B0"}}},
    }
    some, alone = (row_of(tmp_path, grid=grid, **both) for grid in ([{}, named], [{}]))
    assert [cell.label for cell in grids.cells(some, "small")] == ["one for B0", "lite0"]
    assert [cell.label for cell in grids.cells(alone, "small")] == ["Two networks"]


def test_the_best_voters_are_percentages(tmp_path: Path) -> None:
    vote = {"kind": "vote", "rows": ["X1"], "rules": ["soft"], "percents": [10, 100]}
    labels = [cell.label for cell in grids.cells(row_of(tmp_path, **vote), "full")]
    assert labels == ["rule soft, best 10%", "rule soft, best 100%"]


def test_a_scale_runs_the_zipped_cells_of_which_all_values_are_named(tmp_path: Path) -> None:
    axes = {
        "train.lr": [0.1, 0.1, 0.2, 0.2],
        "train.optimizer.name": ["adam", "sgd", "adam", "sgd"],
    }
    row = row_of(
        tmp_path,
        base={"method": "scratch", "shots": 16},
        grid=[{"zip": axes}],
        scales={
            "small": {"only": {"train.lr": [0.1]}},
            "smoke": {"only": {"train.lr": [0.1], "train.optimizer.name": ["sgd"]}},
        },
    )
    labels = {scale: [cell.label for cell in grids.cells(row, scale)] for scale in schema.SCALES}
    assert labels == {
        "smoke": ["lr 0.1, name sgd"],
        "small": ["lr 0.1, name adam", "lr 0.1, name sgd"],
        "full": ["lr 0.1, name adam", "lr 0.1, name sgd", "lr 0.2, name adam", "lr 0.2, name sgd"],
    }


def test_zipped_axes_of_different_lengths_are_an_error(tmp_path: Path) -> None:
    grid = [{"zip": {"shots": [1, 2], "train.lr": [0.1]}}]
    row = row_of(tmp_path, base={"method": "scratch"}, grid=grid)
    with pytest.raises(UserError, match="one/X1: the lists under 'zip' must be of one length"):
        grids.cells(row, "full")


def test_dotted_axes_are_on_top_of_the_scale_and_the_scale_on_top_of_named_values(
    tmp_path: Path,
) -> None:
    networks = {
        "MLP": {"backbone": {"name": "mlp", "options": {"widths": [8]}}, "train.epochs": 7},
        "ViT": {"backbone": {"name": "vit"}},
    }
    row = row_of(
        tmp_path,
        base={
            "method": "scratch",
            "full": True,
            "backbone": {"name": "vgg"},
            "train": {"epochs": 100, "lr": 0.5},
        },
        grid=[{"network": networks, "train.lr": [0.1, 0.2]}],
        scales={
            "small": {
                "set": {"fraction": 0.1, "train.steps": 3, "train.lr": 9},
                "only": {"train.lr": [0.2]},
                "variants": {"network": {"ViT": {"backbone": {"name": "conv4"}}}},
            }
        },
    )
    full, small = grids.cells(row, "full"), grids.cells(row, "small")
    assert [cell.label for cell in full] == [
        "MLP, lr 0.1",
        "MLP, lr 0.2",
        "ViT, lr 0.1",
        "ViT, lr 0.2",
    ]
    assert full[0].settings == {
        "method": "scratch",
        "full": True,
        "backbone": {"name": "mlp", "options": {"widths": [8]}},
        "train": {"epochs": 7, "lr": 0.1},
    }
    assert [cell.label for cell in small] == ["MLP, lr 0.2", "ViT, lr 0.2"]
    assert small[1].settings == {
        "method": "scratch",
        "fraction": 0.1,
        "backbone": {"name": "conv4"},
        "train": {"steps": 3, "lr": 0.2},
    }


def test_reported_numbers_belong_to_the_cells_with_their_values(tmp_path: Path) -> None:
    row = row_of(
        tmp_path,
        base={"method": "scratch"},
        grid=[{"shots": [1, 5], "train.lr": [0.1, 0.2]}],
        reported=[
            {"at": {"shots": 5}, "train_accuracy": 0.9},
            {"at": {"shots": 5, "train.lr": 0.2}, "accuracy": 0.5, "std": 0.01},
            {"at": {"train.lr": 0.3}, "accuracy": 0.7},
        ],
    )
    cells = grids.cells(row, "full")
    reported = {(cell.values["shots"], cell.values["train.lr"]): cell.reported for cell in cells}
    assert reported == {
        (1, 0.1): {},
        (1, 0.2): {},
        (5, 0.1): {"train_accuracy": 0.9},
        (5, 0.2): {"train_accuracy": 0.9, "accuracy": 0.5, "std": 0.01},
    }


def test_a_step_of_a_search_continues_with_the_chosen_values(tmp_path: Path) -> None:
    networks = {"A": {"backbone": {"name": "mlp"}}, "B": {"backbone": {"name": "vit"}}}
    row = row_of(
        tmp_path,
        kind="search",
        base={"method": "scratch", "full": True},
        grid=[{"network": networks}],
        steps=[{"train.lr": [0.1, 0.2]}, {"train.batch_size": [1, 2, 3]}],
    )
    assert grids.searches(row, "full") == [{"network": "A"}, {"network": "B"}]
    assert grids.count(row, "full") == 10
    assert [cell.position for cell in grids.cells(row, "full")] == [0, 1, 5, 6]
    second = grids.step_cells(row, "full", 1, {"network": "B", "train.lr": 0.2})
    assert [cell.position for cell in second] == [7, 8, 9]
    assert second[2].settings["train"] == {"lr": 0.2, "batch_size": 3}
    assert second[2].settings["backbone"] == {"name": "vit"}
    assert second[2].name == "2-B-lr=0.2-batch_size=3"
    assert second[2].label == "B, lr 0.2, batch_size 3, (step 2)"


def test_a_scale_may_name_only_values_of_the_axis_in_any_block(tmp_path: Path) -> None:
    row = row_of(
        tmp_path,
        base={"method": "probe"},
        grid=[{"shots": [1, 2]}, {"shots": [5], "fold": {"A": {}}}],
        scales={"small": {"only": {"shots": [2]}}, "smoke": {"only": {"shots": [5]}}},
    )
    assert [cell.values for cell in grids.cells(row, "small")] == [{"shots": 2}]
    assert [cell.values for cell in grids.cells(row, "smoke")] == [{"shots": 5, "fold": "A"}]
    scales = {"small": {"only": {"shots": [2]}}}
    row = row_of(tmp_path, base={"method": "probe"}, grid=[{"shots": [1]}], scales=scales)
    with pytest.raises(UserError, match="X1: scale small runs only 2 of 'shots'"):
        grids.cells(row, "small")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"only": {"shot": [1]}}, "scale full restricts 'shot', which is no axis"),
        ({"drop": [{"shots": [1], "folds": ["A"]}]}, "scale full restricts 'folds'"),
        ({"only": {"shots": []}}, "scale full runs nothing, because it lists no value of 'shots'"),
    ],
)
def test_a_scale_that_restricts_by_mistake_is_an_error(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    scales = {"full": changes}
    row = row_of(tmp_path, base={"method": "probe"}, grid=[{"shots": [1, 2]}], scales=scales)
    with pytest.raises(UserError, match=f"X1: {message}"):
        grids.cells(row, "full")


def test_an_empty_list_of_values_leaves_out_a_block(tmp_path: Path) -> None:
    grid = [{"shots": [1, 2]}, {"train.lr": [0.1], "shots": [1]}]
    scales = {"full": {"only": {"train.lr": []}}}
    row = row_of(tmp_path, base={"method": "probe"}, grid=grid, scales=scales)
    assert [cell.values for cell in grids.cells(row, "full")] == [{"shots": 1}, {"shots": 2}]


def test_a_scale_does_not_run_the_groups_of_cells_that_it_drops(tmp_path: Path) -> None:
    row = row_of(
        tmp_path,
        base={"method": "probe"},
        grid=[{"train.lr": [1, 2], "shots": [1, 5, 9]}, {"shots": [1, 5]}],
        scales={"small": {"drop": [{"train.lr": [2], "shots": [5, 9]}]}},
    )
    values = [tuple(cell.values.values()) for cell in grids.cells(row, "small")]
    assert values == [(1, 1), (1, 5), (1, 9), (2, 1), (1,), (5,)]
    assert grids.count(row, "full") == 8


def test_every_cell_has_the_settings_of_the_scale_that_leaves_it_out(tmp_path: Path) -> None:
    row = row_of(
        tmp_path,
        base={"method": "scratch"},
        grid=[{"train.lr": [1, 2], "shots": [5, 9]}],
        scales={
            "small": {
                "only": {"train.lr": [1]},
                "drop": [{"shots": [9]}],
                "set": {"train.epochs": 3},
            }
        },
    )
    assert len(grids.cells(row, "small")) == 1
    every = grids.every_cell(row, "small")
    assert [cell.values for cell in every] == [
        {"train.lr": rate, "shots": shots} for rate in (1, 2) for shots in (5, 9)
    ]
    assert {cell.settings["train"]["epochs"] for cell in every} == {3}
    assert [cell.name for cell in every] == [cell.name for cell in grids.cells(row, "full")]
