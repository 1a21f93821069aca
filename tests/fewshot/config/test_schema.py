from pathlib import Path
from typing import Any

import pytest
import yaml

from episodes.errors import UserError
from fewshot import config
from fewshot.cli import arguments
from fewshot.config import RunConfig
from fewshot.runs import resolve

PRESETS = sorted((config.presets_folder() / "methods").glob("*/*.yaml"))


def configured(method: str = "protonet", *sets: str, **values: Any) -> RunConfig:
    return resolve.configure(
        config.merge({"method": method, "shots": 4, **values}, config.overrides(sets)), "few"
    )


def message(call: Any, *arguments: Any, **values: Any) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments, **values)
    assert "\n" not in str(error.value)
    return str(error.value)


# presets


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_preset_loads_validates_and_survives_yaml(path: Path, tmp_path: Path):
    method, name = path.parent.name, path.stem
    assert name in config.presets(method)
    assert config.preset(method, name) == config.read(path)
    settings = resolve.configure({"method": method, "shots": 4}, name)
    assert (settings.method, settings.preset, settings.shots) == (method, name, 4)
    written = tmp_path / "config.yaml"
    written.write_text(config.dump(settings.model_dump(mode="json")))
    again = config.read(written)
    assert again == settings.model_dump(mode="json")
    assert resolve.configure(again, name) == settings
    assert RunConfig.model_validate(again) == settings


def test_there_are_presets_and_few_and_full_for_every_method():
    assert PRESETS
    for method in {path.parent.name for path in PRESETS}:
        assert {"few", "full"} <= set(config.presets(method))


def test_an_unknown_preset_gives_the_nearest():
    assert "did you mean 'full'?" in message(config.preset, "protonet", "ful")
    assert f"known: {', '.join(config.presets('protonet'))}." in message(
        config.preset, "protonet", "zzzzzz"
    )


def test_another_backbone_does_not_inherit_the_preset_s_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "methods" / "probe").mkdir(parents=True)
    (tmp_path / "methods" / "probe" / "few.yaml").write_text(
        "backbone: {name: conv4, options: {norm: group}}"
    )
    monkeypatch.setattr(config, "presets_folder", lambda: tmp_path)
    assert configured("probe").backbone.options == {"norm": "group"}
    assert configured("probe", backbone={"name": "resnet18"}).backbone.options == {}
    assert configured("probe", backbone={"name": "conv4"}).backbone.options == {"norm": "group"}
    kept = configured("probe", backbone={"weights": "pretrained"}).backbone
    assert (kept.name, kept.weights, kept.options) == ("conv4", "pretrained", {"norm": "group"})


# wrong keys, types and combinations


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
        ({"learner": {"shot": 3}}, ["'learner.shot'", "'learner.shots'?"]),
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
        ({"shots": 0}, ["'shots'", "greater than or equal to 1", "0"]),
        ({"train": {"steps": "abc"}}, ["'train.steps'", "integer", "'abc'"]),
        ({"train": {"steps": 2.5}}, ["'train.steps'", "integer", "2.5"]),
        ({"train": {"lr": -1}}, ["'train.lr'", "greater than 0", "-1"]),
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
        ({"train": 3}, ["'train'", "dictionary", "3"]),
        ({"augment": [3]}, ["'augment.0'", "3"]),
        ({"augment": ["flp"]}, ["'flp'", "did you mean 'flip'?"]),
        ({"backbone": {"weights": 3}}, ["'backbone.weights'", "string", "3"]),
        ({"learner": {"distance": "manhattan"}}, ["'learner.distance'", "'cosine'", "'manhattan'"]),
        ({"learner": None}, ["'learner'", "dictionary", "None"]),
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
            "has no place in it",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_told(method: str, values: dict, words: str):
    assert words in message(configured, method, **values)


@pytest.mark.parametrize(
    "budget", [{"shots": 1}, {"fraction": 0.01}, {"fraction": 1}, {"full": True}]
)
def test_each_budget_alone_is_fine(budget: dict):
    settings = resolve.configure({"method": "protonet", **budget}, "few")
    assert {key: getattr(settings, key) for key in budget} == budget


def test_epochs_become_steps_in_one_place():
    assert configured("protonet", "train.steps=70").train.total_steps(9.5) == 70
    in_epochs = configured("protonet", "train.steps=null", "train.epochs=2.5").train
    assert in_epochs.total_steps(9.5) == 24
    assert in_epochs.total_steps(0.01) == 1


def test_settings_do_not_change_after_reading():
    with pytest.raises(ValueError, match="frozen"):
        configured(train={"steps": 2}).train.steps = 3


# merging, overriding, reading


def test_merge_puts_mapping_on_mapping_and_replaces_the_rest():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 1, "e": {"f": 1}}
    over = {"a": {"c": [3], "g": 4}, "d": {"h": 1}, "e": None, "i": 5}
    assert config.merge(base, over) == {
        "a": {"b": 1, "c": [3], "g": 4},
        "d": {"h": 1},
        "e": None,
        "i": 5,
    }
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 1, "e": {"f": 1}}
    assert config.merge({}, base) == config.merge(base, {}) == base


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (["train.steps=200"], {"train": {"steps": 200}}),
        (["a.b.c=x", "a.d=2", "a.b.e=3"], {"a": {"b": {"c": "x", "e": 3}, "d": 2}}),
        (["a=1", "a=2"], {"a": 2}),
        (["a=1", "a.b=2"], {"a": {"b": 2}}),
        (["a=[1, 2.5, x]"], {"a": [1, 2.5, "x"]}),
        (["a={b: 1, c: [2]}", "a.d=3"], {"a": {"b": 1, "c": [2], "d": 3}}),
        (["a=null", "b=", "c=~"], {"a": None, "b": None, "c": None}),
        (["a=true", "b=false", "c='true'"], {"a": True, "b": False, "c": "true"}),
        (["a=1e-4", "b=-2E+3", "c=[1e2, 1.5e-3]"], {"a": 1e-4, "b": -2000.0, "c": [100.0, 0.0015]}),
        (["a=1e", "b=e4", "c=1e-4x"], {"a": "1e", "b": "e4", "c": "1e-4x"}),
        (["a=x=y", " b.c = 3"], {"a": "x=y", "b": {"c": 3}}),
        ([], {}),
    ],
)
def test_overrides(pairs: list[str], expected: dict):
    found = config.overrides(pairs)
    assert found == expected
    assert repr(found) == repr(expected)  # 1 is not 1.0 or True here


@pytest.mark.parametrize("pair", ["train.steps", "=3", " =3", "a=[1", "a={b"])
def test_a_bad_override_is_quoted(pair: str):
    assert f"--set {pair}: " in message(config.overrides, [pair])


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["does not exist"]),
        ("a: [1\nb: 2", ["line 2", "not YAML"]),
        ("- 1\n- 2", ["a mapping", "list"]),
        ("a: !!python/object:os.system x", ["line 1", "not YAML"]),
        (b"\xff\xfe\xff", ["cannot be read"]),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: str | bytes | None, words: list[str]):
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    text = message(config.read, path)
    assert [word for word in [str(path), *words] if word not in text] == []


def test_an_empty_file_is_no_settings_and_dumped_text_reads_back_in_order(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("# nothing yet\n")
    assert config.read(path) == {}
    values = {"z": 1e-10, "a": [None, True, "é", "1.0", 3], "m": {"y": {}, "b": 1e22}}
    path.write_text(config.dump(values))
    assert config.read(path) == yaml.safe_load(path.read_text()) == values
    assert list(config.read(path)) == ["z", "a", "m"]


def test_nearest():
    assert config.nearest("protonte", ["maml", "protonet"]) == "did you mean 'protonet'?"
    assert config.nearest("zzz", ["b", "a"]) == "known: a, b."


# requests


def saved(tmp_path: Path, **values: Any) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(config.dump(values))
    return path


def test_flags_go_on_top_of_the_file_and_sets_on_top_of_flags(tmp_path: Path):
    file = saved(tmp_path, method="maml", shots=4, data="digits", train={"steps": 5, "lr": 0.1})
    found = arguments.values(
        file, ["train.lr=1e-4", "data=other"], method="protonet", shots=None, data="cifar10"
    )
    assert found == {
        "method": "protonet",
        "shots": 4,
        "data": "other",
        "train": {"steps": 5, "lr": 1e-4},
    }


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
    kept = arguments.values(file, [], weights="w.safetensors")["backbone"]
    assert kept == {"name": "conv4", "options": {"norm": "group"}, "weights": "w.safetensors"}


def test_a_run_s_own_configuration_asks_for_the_same_run(tmp_path: Path):
    settings = configured().model_dump(mode="json")
    found = arguments.values(saved(tmp_path, **settings, compute={"device": "cuda"}), [])
    assert found == settings


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"shots": 3}, "--method"),
        ({"method": "protonet"}, "--shots"),
        ({"method": "protonet", "full": None}, "--shots"),
    ],
)
def test_a_request_without_method_or_budget_is_told(flags: dict, words: str):
    assert words in message(arguments.values, None, [], **flags)


def test_a_budget_of_zero_is_wrong_and_not_absent():
    assert "'shots'" in message(
        resolve.configure, arguments.values(None, [], method="protonet", shots=0), "few"
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
