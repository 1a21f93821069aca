"""Oracle: the values that were written, and a list of the words that YAML 1.1 takes for others."""

from __future__ import annotations

import random

import pytest
import yaml

from fewshot.config import yaml_text

ODD = [
    "1e3",
    "25921e05",
    "001",
    "0x1f",
    "0b11",
    "0o17",
    "012",
    "09",
    "1_000",
    "12:30",
    "1:2",
    "yes",
    "No",
    "ON",
    "y",
    "n",
    "null",
    "~",
    "NULL",
    "true",
    "False",
    "=",
    "<<",
    ".5",
    ".5e3",
    "1.",
    "+1e3",
    "1e+3",
    "-2E5",
    ".inf",
    "-.INF",
    ".nan",
    "2024-05-01",
    "2024-05-01T10:00:00",
    "!x",
    "&a",
    "*a",
    "%x",
    "@x",
    "`x",
    "{a",
    "[a",
    "-",
    "?",
    ":",
    "a:",
    "#x",
    "'",
]
ODD += ["", " ", "a b ", "a: b", "a #b", '"', "\\", "a\nb", "\n", "a\r\nb", "\x00", "\x85", "\x7f"]
ODD += ["\u2028", "\ufeffx", "caf\udce9", "\ud83d", "😀", "猫", "né", "- a", "? a", "\t", "a\tb"]


def round_trip(values: dict) -> dict:
    return yaml_text.load(yaml_text.dump(values).encode())


@pytest.mark.parametrize("text", ODD)
def test_a_text_comes_back_as_a_text(text: str):
    values = {
        "key": text,
        text or "x": [text, {text or "y": text}],
        "data": text,
        "weights": [text],
    }
    assert round_trip(values) == values


def test_any_text_comes_back():
    chance = random.Random(0)
    letters = "0123456789eExXoObB_+-.:~,[]{}#&*!|>'\"%@` \n\t\\yYnN=<?aé\x85\udce9"
    for _ in range(3000):
        text = "".join(chance.choices(letters, k=chance.randint(0, 8)))
        values = {"key": text, "data": [text], "mapping": {text: 1}}
        assert round_trip(values) == values, repr(text)


def test_other_values_come_back():
    values = {
        "a": [1, 2.5, 1e-4, 1e22, True, None, float("inf")],
        "base": None,
        "train": {"lr": 1e-05},
    }
    assert round_trip(values) == values


def test_keys_and_names_are_texts_and_other_values_are_not():
    text = (
        "data: 001\nshots: 010\nexclude_classes: [no, 1e3, ~]\nclass_shots: {01: 5, yes: 6, 1e3: 7}"
    )
    assert yaml_text.load(text) == {
        "data": "001",
        "shots": 8,
        "exclude_classes": ["no", "1e3", None],
        "class_shots": {"01": 5, "yes": 6, "1e3": 7},
    }
    assert yaml_text.load("prior_from_names: yes") == {"prior_from_names": True}
    assert yaml_text.load("prior_from_names: {1: [02, no]}") == {
        "prior_from_names": {"1": ["02", "no"]}
    }
    assert yaml_text.load("[001, 2]", name="exclude_classes") == ["001", "2"]
    assert yaml_text.load("val: {a: [01, on]}", text=True) == {"val": {"a": ["01", "on"]}}


def test_a_key_that_is_there_twice_is_an_error():
    with pytest.raises(yaml.MarkedYAMLError, match="'a' occurs twice") as error:
        yaml_text.load("a: 1\nb: 2\na: 3")
    assert error.value.problem_mark is not None
    assert error.value.problem_mark.line == 2
    assert yaml_text.load("x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}")["y"] == {"a": 3, "b": 2}


def test_files_of_windows_are_read():
    assert yaml_text.load("data: né".encode("utf-8-sig")) == {"data": "né"}
    assert yaml_text.load("data: né".encode("utf-16")) == {"data": "né"}


@pytest.mark.parametrize(
    "text",
    [
        "a: !!int abc",
        "a: !!float x",
        "a: !!bool maybe",
        "a: !!timestamp x",
        "a: !!binary aGk=",
        "a: !!set {b, c}",
        "a: !!omap [b: 1]",
        "a: !!pairs [b: 1]",
        "a: !!python/name:os.system",
        "a: !mine 3",
        "a: 0x_",
        "a: -0b_",
        "a: " + "9" * 5000,
        "a: 0x" + "f" * 5000,
        "? [a]\n: b",
        "{{a: 1}: 2}",
        "data: &a [*a]",
        "prior_from_names: &a {b: *a}",
        "a: " + "[" * 100_000,
    ],
)
def test_values_of_no_setting_are_errors_of_one_line(text: str):
    with pytest.raises(yaml.MarkedYAMLError) as error:
        yaml_text.load(text)
    assert error.value.problem_mark is not None
    assert len(str(error.value.problem).splitlines()) == 1
    assert len(str(error.value.problem)) < 150


def test_dates_are_texts():
    assert yaml_text.load("a: 2024-05-01\nb: 2024-13-45\nc: 2024-05-01 10:00:00\nd: =") == {
        "a": "2024-05-01",
        "b": "2024-13-45",
        "c": "2024-05-01 10:00:00",
        "d": "=",
    }
