"""Hypothesis strategies of configurations: valid ones from the schema, and nearly valid YAML texts.

A configuration is a nested mapping of plain values. `Raw` inside it is YAML that no value gives,
such as an alias, a tag or `1e400`; `as_yaml` writes both.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel

from episodes.augment import pipeline
from fewshot import config
from fewshot.learners import LEARNERS

NETWORKS = ("conv4", "mini-resnet", "mlp", "resnet12", "conv4+mlp")  # quick to build
READS_MORE = {"episodes", "meta", "omniglot"}  # in names of presets that load other data sets
BUDGETS = st.one_of(
    st.fixed_dictionaries({"shots": st.integers(1, 6)}),
    st.fixed_dictionaries({"fraction": st.sampled_from([0.01, 0.05])}),
)
# Fields that are chosen below, or that a schema describes too loosely.
ELSEWHERE = {"method", "preset", "regime", "data", "learner", "augment", "append", "backbone"}
ELSEWHERE |= {"shots", "class_shots", "fraction", "full", "base", "prior", "exclude_classes"}
ELSEWHERE |= {"name", "weights", "options", "beside", "test", "group_by", "file", "split"}
ELSEWHERE |= {"compile"}  # calls a C++ compiler for a minute


@dataclass(frozen=True)
class Raw:
    """YAML as it is written."""

    text: str


def as_yaml(value: Any) -> str:
    """Return a value as one line of YAML."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Mapping):
        pairs = (f"{as_yaml(key)}: {as_yaml(inside)}" for key, inside in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    return json.dumps(value)


def values_of(schema: Mapping[str, Any], root: Mapping[str, Any]) -> SearchStrategy[Any]:
    """Return a strategy of what a JSON schema, as pydantic writes it, allows; numbers are small."""
    if "$ref" in schema:
        return values_of(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return st.one_of([values_of(option, root) for option in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    kind = schema.get("type")
    if kind == "null":
        return st.none()
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        low = schema.get("minimum", 0)
        return st.integers(low, max(low, schema.get("maximum", 9)))
    if kind == "number":
        return _numbers(schema)
    if kind == "array":
        if "prefixItems" in schema:
            return st.tuples(*(values_of(item, root) for item in schema["prefixItems"])).map(list)
        low = schema.get("minItems", 0)
        return st.lists(values_of(schema["items"], root), min_size=low, max_size=low + 2)
    if "properties" in schema:
        return _some_of(schema, root)
    if kind == "object":
        inside = values_of(schema.get("additionalProperties") or {}, root)
        return st.dictionaries(
            st.sampled_from(["a", "backbone", "head.*", "7"]), inside, max_size=2
        )
    return st.sampled_from(["", "a", "1e3", "no", "猫"])


def _numbers(schema: Mapping[str, Any]) -> SearchStrategy[float]:
    low = schema.get("exclusiveMinimum", schema.get("minimum", -1.0))
    high = schema.get("exclusiveMaximum", schema.get("maximum", low + 2.0))
    return st.floats(
        low,
        high,
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
    ) | st.sampled_from([low + (high - low) * share for share in (0.25, 0.5)])


def _some_of(schema: Mapping[str, Any], root: Mapping[str, Any]) -> SearchStrategy[dict[str, Any]]:
    """Return a strategy of mappings with the required keys and at most four others."""
    fields = {
        key: values_of(field, root)
        for key, field in schema["properties"].items()
        if key not in ELSEWHERE
    }
    required = [key for key in schema.get("required", []) if key in fields]
    chosen = st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True)
    return chosen.flatmap(
        lambda keys: st.fixed_dictionaries({key: fields[key] for key in [*required, *keys]})
    )


def settings_of(model: type[BaseModel]) -> SearchStrategy[dict[str, Any]]:
    """Return a strategy of some settings of a section; most are valid together."""
    schema = model.model_json_schema()
    return _some_of(schema, schema) if schema.get("properties") else st.just({})


def _parameters(hint: Any) -> SearchStrategy[Any]:
    """Return a strategy of what a parameter of an augmentation accepts."""
    options = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return st.sampled_from(options)
    if typing.get_origin(hint) is not typing.Annotated:
        return st.one_of([_parameters(option) for option in options])
    kind, within = options[0], hint.__metadata__[0]
    low, high = within.low, min(within.high, within.low + 3)
    if kind is int:
        return st.integers(int(low), int(high))
    number = st.floats(low, high)
    return number if kind is float else st.tuples(number, number).map(sorted)


@st.composite
def _step(draw: st.DrawFn) -> Any:
    name = draw(st.sampled_from(sorted(pipeline.AUGMENTATIONS)))
    hints = pipeline._parameter_types(name)
    keys = draw(st.lists(st.sampled_from(sorted(hints)), max_size=2, unique=True))
    return {"name": name, **{key: draw(_parameters(hints[key])) for key in keys}} if keys else name


STEPS = st.lists(_step(), max_size=3)
NETWORK = st.builds(
    lambda name, more: {"name": name, **more},
    st.sampled_from(NETWORKS),
    settings_of(config.BackboneSettings),
)
APPEND = st.fixed_dictionaries({"share": st.sampled_from([0.1, 0.5]), "augment": STEPS})
GENERAL = settings_of(config.RunConfig)
TRAIN = settings_of(config.Train)
OPTIONS = {name: settings_of(learner.options_type) for name, learner in LEARNERS.items()}
PRIOR = st.sampled_from(["balanced", "training", {"0": 2.0}, {"3": 1e-3, "4": 5}])


@st.composite
def configurations(draw: st.DrawFn, method: str | None = None) -> dict[str, Any]:
    """Draw settings for `fewshot run` on digits, most of them valid.

    Args:
        draw: Hypothesis's function.
        method: the learner; None for any.
    """
    method = method or draw(st.sampled_from(sorted(LEARNERS)))
    names = [name for name in config.presets(method) if not READS_MORE & set(name.split("-"))]
    preset = draw(st.sampled_from([None, *names]))
    values: dict[str, Any] = {"method": method, "data": "digits", **draw(BUDGETS), **draw(GENERAL)}
    if preset is not None:
        values["preset"] = preset
    sections = {
        "learner": OPTIONS[method],
        "train": TRAIN,
        "backbone": NETWORK,
        "augment": STEPS,
        "append": APPEND,
        "prior": PRIOR,
    }
    for key in draw(st.lists(st.sampled_from(sorted(sections)), max_size=3, unique=True)):
        values[key] = draw(sections[key])
    return values


# What stands in the place of a value: wrong types, borders, and words that YAML reads otherwise.
ODD_VALUES = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -0.0, 0.5, 1e-320, 1e308, "", " ", "a"),
    *([], [[]], {}, {"a": {}}, ["a", 1], {"": 1}, "a" * 10_000, "a\nb", "\t", "\x1b[31m", "\u202e"),
    *("\ud83d", "😀", "né", "\x00", "nan", "true", "1e3", "../..", "%s{}", "-", "--help", "hf:a/b"),
    *map(
        Raw,
        (
            *(".nan", ".inf", "-.inf", "1e400", "-1e400", "1e-400", "on", "off", "no", "y", "~"),
            *("010", "0o10", "0x1f", "0b11", "09", "1_000", "12:30", "2024-05-01", "2024-13-45"),
            *("9" * 5000, "0x" + "f" * 5000, "1" + "0" * 400, "&a [*a]", "&a {b: *a}", "*nothing"),
            *("!!int x", "!!float x", "!!bool x", "!!binary aGk=", "!!set {a, b}", "!mine 1"),
            *("!!python/object/apply:os.system [true]", "!!timestamp x", "!!str [1]", "!!null 1"),
            *(
                "[" * 150 + "]" * 150,
                "[" * 50_000,
                "{? [a] : b}",
                "{{a: 1}: b}",
                "{<<: 3}",
                "{a: 1",
            ),
            *("{a: 1, a: 2}", "'", "|", "@x", "%x", "\x01", "\ufeff", "\u2028", "=", "<<"),
        ),
    ),
]
LAUGHS = "\n".join(
    [
        "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]",
        *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)),
    ]
)
WHOLE = ["", "---", "# nothing", "- a", "a", "3", "null", "a: 1\n---\nb: 2", "a: 1\na: 2", LAUGHS]
WHOLE += ["\ta: 1", "method: probe\r\ndata: digits\r\nshots: 2\r\n", "method: [probe", "{", "? a"]


def places(values: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every key of nested mappings, and of every item of lists in them."""
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
    paths: list[tuple[Any, ...]] = []
    for key, value in pairs:
        paths.append((*above, key))
        if isinstance(value, Mapping | list):
            paths += places(value, (*above, key))
    return paths


def _changed(values: Any, path: tuple[Any, ...], new_key: Any, new_value: Any) -> Any:
    """Return nested mappings and lists with another key and value at a path."""
    if len(path) > 1:
        new_key, new_value = path[0], _changed(values[path[0]], path[1:], new_key, new_value)
    if isinstance(values, list):
        return [new_value if place == path[0] else item for place, item in enumerate(values)]
    return {
        new_key if key == path[0] else key: new_value if key == path[0] else value
        for key, value in values.items()
    }


@st.composite
def _misspelt(draw: st.DrawFn, key: str) -> Any:
    letter = draw(st.sampled_from(["", "x", "S", "_", "-", " ", ".", "é", "\n", "\ud83d"]))
    position = draw(st.integers(0, len(key)))
    odd = st.sampled_from([Raw("~"), Raw("1"), Raw("on"), Raw("? [a]"), Raw("!!int 3"), ""])
    return draw(st.just(key[:position] + letter + key[position + 1 :]) | odd)


@st.composite
def mutated(draw: st.DrawFn, valid: SearchStrategy[Any]) -> bytes:
    """Draw a YAML file that one or two changes separate from a valid one, or any other document."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.sampled_from(WHOLE)).encode()
    values = draw(valid)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(places(values)))
        value: Any = values
        for key in path:
            value = value[key]
        change = draw(st.sampled_from(["value", "value", "key", "nested", "listed", "alias"]))
        if change == "value":
            value = draw(st.sampled_from(ODD_VALUES))
        elif change == "nested":
            value = {str(draw(st.sampled_from(path))): value}
        elif change == "listed":
            value = [value]
        elif change == "alias":
            value = {"a": Raw("&x " + as_yaml(value)), "b": Raw("*x")}
        key = draw(_misspelt(str(path[-1]))) if change == "key" else path[-1]
        values = _changed(values, path, key, value)
    content = as_yaml(values).encode(errors="surrogatepass")
    if draw(st.integers(0, 9)) == 0:  # a changed byte, or a cut
        position = draw(st.integers(0, len(content) - 1))
        content = content[:position] + draw(st.binary(max_size=3)) + content[position + 1 :]
    return content


@st.composite
def set_words(draw: st.DrawFn) -> list[str]:
    """Draw words for --set, of right and wrong keys and values."""
    words = []
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(draw(configurations()))))
        if draw(st.integers(0, 3)) == 0:
            path = (*path[:-1], str(draw(_misspelt(str(path[-1])))))
        equals = draw(st.sampled_from(["=", "=", "=", "", " = ", "=="]))
        words.append(".".join(map(str, path)) + equals + as_yaml(draw(st.sampled_from(ODD_VALUES))))
    return words
