"""Oracle: the settings that a command asks for, written out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewshot import config
from fewshot.cli import arguments
from fewshot.errors import UserError
from fewshot.runs import run_settings


def message(call: Any, *arguments: Any, **values: Any) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments, **values)
    assert "\n" not in str(error.value)
    return str(error.value)


def saved(tmp_path: Path, **values: Any) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(config.dump(values))
    return path


def test_flags_go_on_top_of_the_file_and_sets_on_top_of_flags(tmp_path: Path):
    file = saved(tmp_path, method="maml", shots=4, data="digits", train={"steps": 5, "lr": 0.1})
    values = arguments.values(file, ["train.lr=1e-4", "data=other"], shots=None, data="cifar10")
    assert values == {
        "method": "maml",
        "shots": 4,
        "data": "other",
        "train": {"steps": 5, "lr": 1e-4},
    }


@pytest.mark.parametrize(
    ("in_file", "in_set"), [("episode_shots", "shots"), ("shots", "episode_shots")]
)
def test_a_set_goes_on_top_of_the_file_also_under_a_renamed_key(
    tmp_path: Path, in_file: str, in_set: str
) -> None:
    file = saved(tmp_path, method="protonet", shots=16, learner={in_file: 8})
    values = arguments.values(file, [f"learner.{in_set}=2"])
    assert values["learner"] == {"episode_shots": 2}
    both = ["learner.shots=2", "learner.episode_shots=3"]
    assert "'shots' is the old key of 'episode_shots'" in message(arguments.values, file, both)


def test_another_method_than_the_file_s_takes_its_data_and_budget_alone(tmp_path: Path):
    file = saved(tmp_path, method="maml", shots=4, data="digits", train={"steps": 5, "lr": 0.1})
    values = arguments.values(file, [], method="protonet")
    assert values == {"method": "protonet", "shots": 4, "data": "digits"}


@pytest.mark.parametrize("budget", [{"shots": 2}, {"fraction": 0.1}, {"full": True}])
def test_a_budget_flag_replaces_the_file_s_budget(tmp_path: Path, budget: dict):
    file = saved(tmp_path, method="maml", shots=4, fraction=None, full=False)
    assert arguments.values(file, [], **{"shots": None, "full": None, **budget}) == {
        "method": "maml",
        **budget,
    }


def test_backbone_flags_become_a_section(tmp_path: Path):
    file = saved(
        tmp_path, method="maml", shots=4, backbone={"name": "conv4", "options": {"norm": "group"}}
    )
    assert arguments.values(file, [], backbone="resnet18")["backbone"] == {"name": "resnet18"}
    both = arguments.values(file, [], backbone="resnet18", weights="none")["backbone"]
    assert both == {"name": "resnet18", "weights": "none"}
    same_network = arguments.values(file, [], weights="w.safetensors")["backbone"]
    assert same_network == {
        "name": "conv4",
        "options": {"norm": "group"},
        "weights": "w.safetensors",
    }


def test_a_run_s_own_configuration_asks_for_the_same_run(tmp_path: Path):
    protonet = {"method": "protonet", "shots": 4}
    settings = run_settings.configure(protonet, "few").model_dump(mode="json")
    values = arguments.values(saved(tmp_path, **settings, compute={"device": "cuda"}), [])
    assert values == settings


@pytest.mark.parametrize("flags", [{}, {"method": "protonet"}, {"method": "probe", "full": None}])
def test_without_data_a_request_needs_a_budget(flags: dict):
    assert "--shots" in message(arguments.values, None, [], **flags)


def test_a_folder_alone_is_a_probe_with_all_its_labels():
    assert arguments.values(None, [], data="mine") == {
        "method": "probe",
        "data": "mine",
        "full": True,
    }
    assert arguments.values(None, [], data="mine", shots=4, method="finetune") == {
        "method": "finetune",
        "data": "mine",
        "shots": 4,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.2", 0.2), ("20%", 0.2), ("5e-1", 0.5), ("unseen", "unseen"), ("2026-11-03", "2026-11-03")],
)
def test_test_images_are_a_share_or_a_path(text: str, value: float | str):
    assert arguments.test_images(text) == value


@pytest.mark.parametrize("text", ["20", "0", "1", "-0.5", "150%"])
def test_a_wrong_share_is_an_error(text: str):
    assert f"--test {text}" in message(arguments.test_images, text)


def test_a_budget_of_zero_is_wrong_and_not_absent():
    assert "'shots'" in message(
        run_settings.configure, arguments.values(None, [], method="protonet", shots=0), "few"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", range(10)),
        ("1", [0]),
        ("100-109", range(100, 110)),
        ("5-5", [5]),
        ("0-2", range(3)),
        (" 3 ", range(3)),
    ],
)
def test_seeds(text: str, expected: Any):
    assert arguments.seeds(text) == list(expected)


@pytest.mark.parametrize("text", ["", "0", "9-3", "-3", "a", "1-", "1,2", "1.5", "1-2-3", "1e2"])
def test_bad_seeds_are_quoted(text: str):
    assert f"--seeds {text}: " in message(arguments.seeds, text)


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl"])
def test_json_is_printed_or_a_file_of_that_format(name: str) -> None:
    file = arguments.prediction_file
    assert file(None, Path("p.json"), 1, True) == Path("p.json")
    assert file(None, Path(name), 1, False) == Path(name)
    assert file(Path("k.csv"), None, 1, False) == Path("k.csv")
    assert file(None, None, 1, True) is None
    assert "leave out --json" in message(file, None, Path(name), 1, True)
    assert "k.csv is no JSON array" in message(file, Path("k.csv"), None, 1, True)
    assert "no JSON array" in message(file, Path("k.json"), None, 1, True)


def test_percents_are_read_and_checked() -> None:
    assert arguments.percents(None) == [100.0]
    assert arguments.percents("50, 10,2.5,10%") == [2.5, 10.0, 50.0]
    for text in ("", "0", "101", "-5", "half", "10,,20", "nan", "1e1"):
        with pytest.raises(UserError, match=r"--best .*: expected percentages"):
            arguments.percents(text)
