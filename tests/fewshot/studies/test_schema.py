"""Rows of studies: what a file says becomes these cells, and nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from episodes.errors import UserError
from fewshot.studies import grids, schema

COMMON = {"title": "T", "question": "Q?", "source": "slide 1"}


def row_of(folder: Path, name: str = "X1", **keys: Any) -> schema.Row:
    place = folder / "one" / f"{name}.yaml"
    place.parent.mkdir(exist_ok=True)
    place.write_text(yaml.safe_dump({**COMMON, **keys}, sort_keys=False))
    (row,) = schema.read([place])
    return row


def test_blocks_are_products_one_after_the_other_and_zipped_axes_go_together(
    tmp_path: Path,
) -> None:
    grid = [
        {"train.lr": [0.1, 0.01], "train.batch_size": [64, 96, 128]},
        {"zip": {"train.lr": [1.0, 2.0], "train.optimizer.name": ["adam", "sgd"]}, "shots": [1, 5]},
    ]
    cells = grids.cells(
        row_of(tmp_path, base={"method": "scratch", "shots": 16}, grid=grid), "full"
    )
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
        "method": "scratch", "shots": 5, "train": {"lr": 2.0, "optimizer": {"name": "sgd"}},
    }  # fmt: skip
    assert cells[0].label == "lr 0.1, batch_size 64"
    assert cells[0].name == "lr=0.1-batch_size=64"


def test_of_zipped_axes_a_scale_keeps_the_cells_whose_values_are_all_kept(tmp_path: Path) -> None:
    row = row_of(
        tmp_path,
        base={"method": "scratch", "shots": 16},
        grid=[
            {
                "zip": {
                    "train.lr": [0.1, 0.1, 0.2, 0.2],
                    "train.optimizer.name": ["adam", "sgd", "adam", "sgd"],
                }
            }
        ],
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


def test_named_values_are_settings_and_dotted_axes_lie_on_top_of_what_a_scale_sets(
    tmp_path: Path,
) -> None:
    row = row_of(
        tmp_path,
        base={"method": "scratch", "full": True, "backbone": {"name": "vgg"}, "train": {"epochs": 100, "lr": 0.5}},
        grid=[{
            "network": {
                "MLP": {"backbone": {"name": "mlp", "options": {"widths": [8]}}, "train.epochs": 7},
                "ViT": {"backbone": {"name": "vit"}},
            },
            "train.lr": [0.1, 0.2],
        }],
        scales={"small": {
            "trials": 2, "set": {"fraction": 0.1, "train.steps": 3, "train.lr": 9}, "only": {"train.lr": [0.2]},
            "variants": {"network": {"ViT": {"backbone": {"name": "conv4"}}}}, "seconds": 4,
        }},
    )  # fmt: skip
    full, small = grids.cells(row, "full"), grids.cells(row, "small")
    assert [cell.label for cell in full] == [
        "MLP, lr 0.1",
        "MLP, lr 0.2",
        "ViT, lr 0.1",
        "ViT, lr 0.2",
    ]
    assert full[0].settings == {
        "method": "scratch", "full": True, "backbone": {"name": "mlp", "options": {"widths": [8]}},
        "train": {"epochs": 7, "lr": 0.1},
    }  # fmt: skip
    assert [cell.label for cell in small] == ["MLP, lr 0.2", "ViT, lr 0.2"]
    assert small[1].settings == {
        "method": "scratch", "fraction": 0.1, "backbone": {"name": "conv4"}, "train": {"steps": 3, "lr": 0.2},
    }  # fmt: skip
    assert (row.trials_at("full"), row.trials_at("small"), row.trials_at("smoke")) == (10, 2, 10)
    assert (row.seconds_at("small"), row.seconds_at("full")) == (4, 60)


def test_reported_numbers_go_to_the_cells_that_they_are_of(tmp_path: Path) -> None:
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
    found = {
        (cell.values["shots"], cell.values["train.lr"]): cell.reported
        for cell in grids.cells(row, "full")
    }
    assert found == {
        (1, 0.1): {}, (1, 0.2): {}, (5, 0.1): {"train_accuracy": 0.9},
        (5, 0.2): {"train_accuracy": 0.9, "accuracy": 0.5, "std": 0.01},
    }  # fmt: skip


def test_a_searchs_steps_keep_what_was_found_and_have_places_of_their_own(tmp_path: Path) -> None:
    row = row_of(
        tmp_path,
        kind="search",
        base={"method": "scratch", "full": True},
        grid=[
            {"network": {"A": {"backbone": {"name": "mlp"}}, "B": {"backbone": {"name": "vit"}}}}
        ],
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


def test_rows_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("K10", "K9", "K1"):
        row_of(tmp_path, name, base={"method": "probe", "shots": 1})
    assert [row.name for row in schema.read([tmp_path])] == ["K1", "K9", "K10"]
    assert [row.name for row in schema.read([tmp_path, tmp_path / "one" / "K9.yaml"])] == [
        "K1",
        "K9",
        "K10",
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"base": {"method": "probe"}, "trial": 3},
            "unknown key 'trial': did you mean 'trials'?",
        ),
        ({"base": {}}, "'base.method' is missing"),
        ({"kind": "search", "base": {"method": "probe"}}, "a row of kind search needs 'steps'"),
        ({"kind": "vote"}, "a row of kind vote needs 'rows'"),
        ({"base": {"method": "probe"}, "reported": [{"acuracy": 1}]}, "acuracy"),
        ({"base": {"method": "probe"}, "scales": {"tiny": {}}}, "tiny"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(
    tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=r"X1[.]yaml") as caught:
        row_of(tmp_path, **keys)
    assert said in str(caught.value)


def test_a_value_that_a_scale_keeps_must_be_one_of_the_axis(tmp_path: Path) -> None:
    row = row_of(
        tmp_path, base={"method": "probe"}, grid=[{"shots": [1]}], scales={"small": {"only": {"shots": [2]}}}
    )  # fmt: skip
    with pytest.raises(UserError, match="X1: scale small runs only 2 of 'shots'"):
        grids.cells(row, "small")


def test_a_kept_value_may_be_of_another_block(tmp_path: Path) -> None:
    row = row_of(
        tmp_path,
        base={"method": "probe"},
        grid=[{"shots": [1, 2]}, {"shots": [5], "fold": {"A": {}}}],
        scales={"small": {"only": {"shots": [2]}}, "smoke": {"only": {"shots": [5]}}},
    )
    assert [cell.values for cell in grids.cells(row, "small")] == [{"shots": 2}]
    assert [cell.values for cell in grids.cells(row, "smoke")] == [{"shots": 5, "fold": "A"}]


def test_a_folder_without_rows_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no study"):
        schema.read([tmp_path])
