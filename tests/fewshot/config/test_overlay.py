"""Oracle: the rules of the overlay stated as properties, and settings written out by hand."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from fewshot import config
from fewshot.config.overlay import expand

SEEDS = range(40)
BUDGETS = ("shots", "fraction", "full")
VALUES: dict[str, tuple[Any, ...]] = {
    "method": ("probe", "scratch"),
    "preset": ("few", "full"),
    "data": ("digits", "cifar10"),
    "shots": (1, 16),
    "fraction": (0.1, 0.5),
    "full": (True,),
    "backbone.name": ("conv4", "vit"),
    "backbone.weights": ("none", "pretrained"),
    "backbone.options.width": (8, 64),
    "learner.scale": (1.0, 10.0),
    "train.steps": (5, 100),
    "train.epochs": (1.0, 20.0),
    "train.lr": (0.1, 0.001),
    "train.optimizer.name": ("sgd", "adam"),
    "augment": ([], ["flip"]),
}


def some_settings(random_number: random.Random) -> dict[str, Any]:
    """Return nested settings of a few random keys that do not exclude one another."""
    keys = random_number.sample(sorted(VALUES), random_number.randint(0, 8))
    budgets = [key for key in keys if key in BUDGETS]
    durations = [key for key in keys if key in ("train.steps", "train.epochs")]
    chosen = [key for key in keys if key not in budgets[1:] and key not in durations[1:]]
    return expand((key, random_number.choice(VALUES[key])) for key in chosen)


def leaves(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value of every value that is no mapping."""
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            values |= leaves(value, f"{prefix}{key}.")
        else:
            values[prefix + key] = value
    return values


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_on_top_changes_nothing(seed: int) -> None:
    base = some_settings(random.Random(seed))
    assert config.overlay(base, {}) == base
    assert config.overlay({}, base) == base
    assert config.overlay(base, base) == base


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_writer_wins_and_the_rest_stays_or_is_excluded(seed: int) -> None:
    random_number = random.Random(seed)
    base, over = some_settings(random_number), some_settings(random_number)
    before = copy.deepcopy((base, over))
    result = leaves(config.overlay(base, over))
    assert (base, over) == before
    assert leaves(over).items() <= result.items()
    assert set(result) <= set(leaves(base)) | set(leaves(over))
    assert sum(key in result for key in BUDGETS) <= 1
    assert sum(key in result for key in ("train.steps", "train.epochs")) <= 1
    lost = set(leaves(base)) - set(result)
    if "method" not in over and "name" not in over.get("backbone", {}):
        assert lost <= {*BUDGETS, "train.steps", "train.epochs"}
    if not {"method", *BUDGETS, "train", "backbone"} & set(over):
        assert lost == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_dotted_keys_are_nested_keys(seed: int) -> None:
    random_number = random.Random(seed)
    base, over = some_settings(random_number), some_settings(random_number)
    assert config.overlay(base, leaves(over)) == config.overlay(base, over)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_layer_twice_is_that_layer_once(seed: int) -> None:
    random_number = random.Random(seed)
    base, over = some_settings(random_number), some_settings(random_number)
    once = config.overlay(base, over)
    assert config.overlay(once, over) == once


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ({"shots": 4, "fraction": None, "full": False}, {"full": True}, {"full": True}),
        ({"shots": 4}, {"fraction": 0.1}, {"fraction": 0.1}),
        (
            {"train": {"epochs": 3, "least_steps": 50, "lr": 1}},
            {"train.steps": 7},
            {"train": {"least_steps": 50, "lr": 1, "steps": 7}},
        ),
        (
            {"train": {"epochs": 3, "least_steps": 50, "lr": 1}},
            {"train": {"epochs": 1}},
            {"train": {"lr": 1, "epochs": 1}},
        ),
        (
            {"train": {"epochs": 3, "least_steps": 50}},
            {"train": {"epochs": 1, "least_steps": 9}},
            {"train": {"epochs": 1, "least_steps": 9}},
        ),
        (
            {"backbone": {"name": "conv4", "options": {"norm": "group"}, "weights": "w"}},
            {"backbone": {"name": "vit"}},
            {"backbone": {"name": "vit"}},
        ),
        (
            {"backbone": {"name": "conv4", "options": {"norm": "group"}}},
            {"backbone": {"name": "conv4", "weights": "w"}},
            {"backbone": {"name": "conv4", "options": {"norm": "group"}, "weights": "w"}},
        ),
        (
            {"backbone": {"name": "conv4"}, "train": {"lr": 1, "resolutions": [{"side": 16}]}},
            {"backbone": {"name": "vit"}},
            {"backbone": {"name": "vit"}, "train": {"lr": 1}},
        ),
        (
            {"method": "scratch", "preset": "vgg", "shots": 4, "data": "digits", "train": {}},
            {"method": "probe"},
            {"method": "probe", "shots": 4, "data": "digits"},
        ),
        (
            {"method": "scratch", "data": "digits", "exclude_classes": ["1"], "prior": "training"},
            {"method": "probe"},
            {"method": "probe", "data": "digits", "exclude_classes": ["1"], "prior": "training"},
        ),
        ({"train": {"lr": 1}}, {"method": "probe"}, {"method": "probe", "train": {"lr": 1}}),
        ({"train": {"steps": 4}}, {"train": None}, {"train": None}),
        ({"train": None}, {"train.steps": 4}, {"train": {"steps": 4}}),
        (
            {"train": {"lr_multipliers": {"backbone.": 1}}},
            {"train": {"lr_multipliers": {"head.": 2}}},
            {"train": {"lr_multipliers": {"backbone.": 1, "head.": 2}}},
        ),
        (
            {"a": {"b": 1, "c": [1, 2]}, "d": 1, "e": {"f": 1}},
            {"a": {"c": [3], "g": 4}, "d": {"h": 1}, "e": None, "i": 5},
            {"a": {"b": 1, "c": [3], "g": 4}, "d": {"h": 1}, "e": None, "i": 5},
        ),
    ],
)
def test_settings_that_exclude_one_another_are_replaced_together(
    base: dict[str, Any], over: dict[str, Any], result: dict[str, Any]
) -> None:
    assert config.overlay(base, over) == result


def test_numbers_of_single_classes_belong_to_the_number_of_shots():
    base = {"shots": 8, "class_shots": {"cat": 2}}
    assert config.overlay(base, {"shots": 4}) == {"shots": 4}
    assert config.overlay(base, {"fraction": 0.5}) == {"fraction": 0.5}
    assert config.overlay(base, {"class_shots.dog": 3}) == {
        "shots": 8,
        "class_shots": {"cat": 2, "dog": 3},
    }


def test_no_label_at_all_is_a_label_budget() -> None:
    assert "full" not in config.with_defaults({"data": "pets", "shots": 0})
    assert config.with_defaults({"data": "pets", "shots": None, "full": False})["full"] is True
