"""Oracle: settings and messages written out by hand, and PyYAML itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fewshot import config
from fewshot.config import loading
from fewshot.errors import UserError

PRESETS = sorted((config.presets_folder() / "methods").glob("*/*.yaml"))


def message(call: Any, *arguments: Any, **values: Any) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments, **values)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_there_are_presets_and_few_and_full_for_every_method():
    assert PRESETS
    for method in {path.parent.name for path in PRESETS}:
        assert {"few", "full"} <= set(config.presets(method))


def test_an_unknown_preset_gives_the_nearest():
    assert "did you mean 'full'?" in message(config.preset, "protonet", "ful")
    assert f"known: {', '.join(config.presets('protonet'))}." in message(
        config.preset, "protonet", "zzzzzz"
    )


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
    settings = config.overrides(pairs)
    assert settings == expected
    assert repr(settings) == repr(expected)  # 1 is not 1.0 or True here


@pytest.mark.parametrize("pair", ["train.steps", "=3", " =3", "a=[1", "a={b"])
def test_a_bad_override_is_quoted(pair: str):
    assert f"--set {pair}: " in message(config.overrides, [pair])


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


def test_a_preset_may_be_the_path_of_a_file(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("train: {steps: 3}\n")
    assert config.preset("protonet", str(path)) == {"train": {"steps": 3}}
    assert "does not exist" in message(config.preset, "protonet", str(tmp_path / "other.yaml"))


def test_a_learner_without_packaged_presets_has_empty_defaults():
    assert config.preset("of-my-own", "few") == config.preset("of-my-own", "full") == {}
    assert "leave the preset out" in message(config.preset, "of-my-own", "fast")


def test_configurations_are_found_in_an_installed_package_and_in_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert config.presets_folder() == Path(__file__).parents[3] / "configs"
    monkeypatch.setattr(loading, "__file__", str(tmp_path / "fewshot" / "config" / "loading.py"))
    assert config.presets_folder() == tmp_path / "configs"
    (tmp_path / "fewshot" / "configs").mkdir(parents=True)
    assert config.presets_folder() == tmp_path / "fewshot" / "configs"


def test_a_value_in_the_place_of_a_section_is_named_without_a_class_of_ours():
    values = {"method": "probe", "shots": 1, "backbone": {"name": "conv4"}, "train": 5}
    with pytest.raises(UserError) as error:
        config.check(config.RunConfig, values, "mine")
    assert str(error.value) == "mine: 'train' should be a mapping of keys to values, not 5"


@pytest.mark.parametrize("key", ["method", "preset", "data"])
@pytest.mark.parametrize("value", [["few"], {"a": "few"}, 3, True, 0.5])
def test_texts_that_are_read_first_are_checked_first(key: str, value: Any):
    assert f"'{key}' should be a text, not" in message(loading.check_first, {key: value})


@pytest.mark.parametrize("key", ["backbone", "learner", "head", "tasks"])
@pytest.mark.parametrize("value", [["few"], "few", 3, True])
def test_mappings_that_are_read_first_are_checked_first(key: str, value: Any):
    assert f"'{key}' should be a mapping" in message(loading.check_first, {key: value})


def test_a_long_value_is_cut_in_messages():
    assert len(message(loading.check_first, {"method": ["a"] * 10_000})) < 200


def test_a_key_of_many_parts_is_an_error():
    assert "more than 100 parts" in message(config.overrides, ["a" + ".a" * 5000 + "=1"])
    for pair in ("[" * 50_000, f"data={'[' * 50_000}"):
        assert len(message(config.overrides, [pair])) < 300


def test_control_characters_are_to_be_removed(tmp_path: Path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"a: \x1b[31m")
    assert message(config.read, path).endswith("not allowed): remove them.")
    path.write_bytes(b"a: \xff")
    assert message(config.read, path).endswith("save it in this encoding.")
