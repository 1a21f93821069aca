"""Oracle: settings, and messages about wrong ones, written out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewshot import config
from fewshot.config import RunConfig, loading
from fewshot.errors import UserError
from fewshot.runs import run_settings

PRESETS = sorted((config.presets_folder() / "methods").glob("*/*.yaml"))


def configured(method: str = "protonet", *sets: str, **values: Any) -> RunConfig:
    return run_settings.configure(
        config.overlay({"method": method, "shots": 4, **values}, config.overrides(sets)), "few"
    )


def message(call: Any, *arguments: Any, **values: Any) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments, **values)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_preset_loads_validates_and_survives_yaml(path: Path, tmp_path: Path):
    method, name = path.parent.name, path.stem
    assert name in config.presets(method)
    assert config.preset(method, name) == config.read(path)
    settings = run_settings.configure({"method": method, "shots": 4}, name)
    assert (settings.method, settings.preset, settings.shots) == (method, name, 4)
    written = tmp_path / "config.yaml"
    written.write_text(config.dump(settings.model_dump(mode="json")))
    again = config.read(written)
    assert again == settings.model_dump(mode="json")
    assert run_settings.configure(again, name) == settings
    assert RunConfig.model_validate(again) == settings


def test_another_backbone_does_not_inherit_the_preset_s_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "methods" / "probe").mkdir(parents=True)
    (tmp_path / "methods" / "probe" / "few.yaml").write_text(
        "backbone: {name: conv4, options: {norm: group}}"
    )
    monkeypatch.setattr(loading, "presets_folder", lambda: tmp_path)
    assert configured("probe").backbone.options == {"norm": "group"}
    assert configured("probe", backbone={"name": "resnet18"}).backbone.options == {}
    assert configured("probe", backbone={"name": "conv4"}).backbone.options == {"norm": "group"}
    pretrained = configured("probe", backbone={"weights": "pretrained"}).backbone
    assert (pretrained.name, pretrained.weights, pretrained.options) == (
        "conv4",
        "pretrained",
        {"norm": "group"},
    )


def test_the_settings_of_a_finished_run_need_no_preset(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("{backbone: {name: conv4}, train: {steps: 3, lr_multipliers: {backbone: 0.5}}}")
    values = {"method": "protonet", "shots": 4}
    settings = run_settings.configure(values, str(path))
    assert settings.preset == "mine"
    assert settings.train.lr_multipliers == {"backbone": 0.5}
    path.unlink()
    resolved = settings.model_dump(mode="json")
    assert run_settings.configure(resolved, "mine") == settings
    more = config.overlay(resolved, {"shots": 8, "train.steps": 5})
    assert run_settings.configure(more, "mine").train.steps == 5
    with pytest.raises(UserError, match="'protonet' has no preset 'mine'"):
        run_settings.configure(values, "mine")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"trian": {}}, ["'trian'", "did you mean 'train'?"]),
        ({"str": 1}, ["unknown key 'str'"]),
        ({"train": {"step": 3}}, ["'train.step'", "'train.steps'?"]),
        (
            {"train": {"optimizer": {"moment": 1}}},
            ["'train.optimizer.moment'", "'train.optimizer.momentum'?"],
        ),
        (
            {"train": {"early_stopping": {"patienc": 1}}},
            ["'train.early_stopping.patienc'", "'train.early_stopping.patience'?"],
        ),
        (
            {"train": {"phases": [{}, {"trainabel": "all"}]}},
            ["'train.phases.1.trainabel'", "'train.phases.1.trainable'?"],
        ),
        ({"backbone": {"nmae": "conv4"}}, ["'backbone.nmae'", "'backbone.name'?"]),
        ({"learner": {"shot": 3}}, ["'learner.shot'", "'learner.episode_shots'?"]),
        (
            {"append": {"share": 0.5, "augmnt": []}},
            ["'append.augment' is missing", "'append.augmnt'", "'append.augment'?"],
        ),
        ({"train": {"zzz": 1}}, ["'train.zzz'", "known: ", "steps"]),
        ({"trian": 1, "train": {"step": 3}}, ["'trian'", "'train.step'"]),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_right_one(values: dict, words: list[str]):
    text = message(configured, **values)
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"shots": True}, ["'shots'", "integer", "True"]),
        ({"shots": -1}, ["'shots'", "greater than or equal to 0", "-1"]),
        ({"train": {"steps": "abc"}}, ["'train.steps'", "integer", "'abc'"]),
        ({"train": {"steps": 2.5}}, ["'train.steps'", "integer", "2.5"]),
        ({"train": {"lr": -1}}, ["'train.lr'", "greater than 0", "-1"]),
        ({"prior": {"a": float("inf")}}, ["'prior.a'", "finite", "inf"]),
        ({"prior": {"a": 0}}, ["'prior.a'", "greater than 0", "0"]),
        ({"train": {"optimizer": {"momentum": 1}}}, ["'train.optimizer.momentum'", "less than 1"]),
        ({"train": {"lr": "fast"}}, ["'train.lr'", "number", "'fast'"]),
        (
            {"train": {"schedule": {"name": "cosin"}}},
            ["'train.schedule.name'", "'cosine'", "'cosin'"],
        ),
        (
            {"train": {"schedule": {"milestones": [0.5, 2]}}},
            ["'train.schedule.milestones.1'", "less than 1", "2"],
        ),
        (
            {"train": {"lr_multipliers": {"backbone.": "x"}}},
            ["'train.lr_multipliers.backbone.'", "'x'"],
        ),
        (
            {"train": {"phases": [{"trainable": "al"}]}},
            ["'train.phases.0.trainable'", "'all' or 'head'", "'al'"],
        ),
        ({"train": 3}, ["'train'", "mapping", "3"]),
        ({"augment": [3]}, ["'augment.0'", "3"]),
        ({"augment": ["flp"]}, ["'flp'", "did you mean 'flip'?"]),
        ({"backbone": {"weights": 3}}, ["'backbone.weights'", "string", "3"]),
        ({"learner": {"distance": "manhattan"}}, ["'learner.distance'", "'cosine'", "'manhattan'"]),
        ({"learner": None}, ["'learner'", "mapping", "None"]),
        ({"regime": "zero-shot"}, ["'regime'", "'low-data'"]),
    ],
)
def test_a_wrong_type_or_value_names_its_key(values: dict, words: list[str]):
    text = message(configured, **values)
    assert [word for word in words if word not in text] == []
    assert "literal[" not in text


@pytest.mark.parametrize(
    ("method", "values", "words"),
    [
        ("protonet", {"fraction": 0.1}, "exactly one of shots, fraction and full"),
        ("protonet", {"full": True}, "exactly one of shots, fraction and full"),
        ("protonet", {"shots": None}, "exactly one of shots, fraction and full"),
        ("protonet", {"train": {"steps": None}}, "train: exactly one of steps and epochs"),
        ("scratch", {"train": {"phases": []}}, "add up to 1"),
        ("scratch", {"train": {"phases": [{"share": 0.5}, {"share": 0.4}]}}, "add up to 1"),
        ("protonet", {"select": "holdout"}, "validation"),
        ("scratch", {"train": {"early_stopping": {}}}, "validation"),
        ("finetune", {"train": None}, "'train' is missing"),
        ("protonet", {"train": None, "select": "support_cv"}, "without training has no steps"),
        ("probe", {"train": {"steps": 3}}, "'probe' is not trained"),
        ("protonet", {"augment": ["mixup"]}, "'mixup' mixes labels"),
        ("protonet", {"append": {"share": 0.5, "augment": ["flip"]}}, "'protonet' cannot take"),
        ("scratch", {"append": {"share": 0.5, "augment": ["flp"]}}, "did you mean 'flip'?"),
        (
            "scratch",
            {"append": {"share": 0.5, "augment": [{"name": "flip", "until": 0.5}]}},
            "has no effect",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_errors(method: str, values: dict, words: str):
    assert words in message(configured, method, **values)


@pytest.mark.parametrize(
    "budget", [{"shots": 1}, {"fraction": 0.01}, {"fraction": 1}, {"full": True}]
)
def test_each_budget_alone_is_fine(budget: dict):
    settings = run_settings.configure({"method": "protonet", **budget}, "few")
    assert {key: getattr(settings, key) for key in budget} == budget


def test_epochs_become_steps_in_one_place():
    assert configured("protonet", "train.steps=70").train.total_steps(9.5) == 70
    in_epochs = configured("protonet", "train.steps=null", "train.epochs=2.5").train
    assert in_epochs.total_steps(9.5) == 24
    assert in_epochs.total_steps(0.01) == 1


def test_class_names_with_bytes_that_are_no_text_stay_the_same_in_a_file(tmp_path: Path):
    values = {"method": "probe", "shots": 4, "prior": {"caf\udce9": 0.5, "b": 1}}
    settings = run_settings.configure({**values, "class_shots": {"caf\udce9": 2}}, "few")
    assert settings.prior == {"caf\ufffd": 0.5, "b": 1}
    path = tmp_path / "config.yaml"
    path.write_text(config.dump(settings.model_dump(mode="json")), encoding="utf-8")
    assert run_settings.configure(config.read(path), "few") == settings


def test_settings_do_not_change_after_reading():
    with pytest.raises(ValueError, match="frozen"):
        configured(train={"steps": 2}).train.steps = 3


def test_an_override_of_every_kind_reaches_the_settings():
    phases = "train.phases=[{share: 0.5, trainable: head}, {share: 0.5, trainable: 2, lr: 1e-5}]"
    rest = [
        "train.clip_norm=null",
        "augment=[]",
        "backbone.options={drop: 1e-1}",
        "validation={}",
        "select=holdout",
    ]
    settings = configured("finetune", "train.lr=1e-4", phases, *rest)
    assert settings.train.lr == 1e-4
    assert [(phase.trainable, phase.lr) for phase in settings.train.phases] == [
        ("head", None),
        (2, 1e-5),
    ]
    assert settings.augment == ()
    assert settings.backbone.options["drop"] == 0.1
    assert settings.validation.share == 0.2


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1e400"])
@pytest.mark.parametrize("key", ["lr", "epochs", "clip_norm", "weight_decay", "log_every_epochs"])
def test_numbers_are_finite(key: str, value: str):
    values = {"steps": 2, **config.overrides([f"{key}={value}"])}
    assert f"'{key}' should be" in message(config.check, config.Train, values, "train")


@pytest.mark.parametrize("key", ["steps", "batch_size", "least_steps", "tasks_per_step"])
def test_whole_numbers_fit_into_a_tensor(key: str):
    assert "is too large" in message(config.check, config.Train, {"steps": 2, key: 10**19}, "train")
