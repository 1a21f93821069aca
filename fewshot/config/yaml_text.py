"""YAML whose texts come back as they were written: one loader and one dumper that agree.

YAML 1.1 takes `1e3`, `001`, `12:30`, `yes` and `2024-05-01` for numbers, truth values and dates.
They are as likely the names of folders and classes. So every key is a text, and so is the value of
a setting that holds names (`NAMES`). Dates are texts everywhere, and tags such as `!!binary` and
`!!set` are errors, because no setting takes their values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from episodes.datasets import yaml_limits

# Settings whose values, single or in a list, are names.
NAMES = {"data", "base", "exclude_classes", "weights", "group_by", "preset"}
NAMES_INSIDE = {"prior_from_names"}  # the same for a mapping; a single value is none
MOST_BITS = 1024  # of a whole number; Python does not even print one of 4300 digits
_NULL = "tag:yaml.org,2002:null"
_TEXT = "tag:yaml.org,2002:str"
_KINDS = ("null", "bool", "int", "float", "str", "seq", "map", "merge")
# The tags that are read; all else that YAML 1.1 knows is of no use to a setting.
_TAGS = {
    *(f"tag:yaml.org,2002:{kind}" for kind in _KINDS),
    None,  # the constructor of unknown tags, which raises an error
}

# YAML in which 1e-4 is a number; YAML 1.1, which PyYAML reads, takes it for a text.
_FLOAT = (
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)
# Lone surrogates, which stand for bytes in file names; the loader in C takes them for errors.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_NEXT_LINE = "\x85"  # a line break of YAML 1.1 that the dumper writes as it is


class _Names:
    """The constructor of mappings with text as keys; a part of both loaders."""

    def construct_object(self: Any, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)  # type: ignore[misc]
            if isinstance(value, int) and value.bit_length() > MOST_BITS:
                raise ValueError
        except (ValueError, KeyError):  # of a number with 5000 digits, or `!!int x`
            shown = node.value if len(node.value) < 40 else node.value[:40] + "..."
            problem = f"'{shown}' cannot be read as {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None
        return value

    def construct_mapping(self: Any, node: Any, deep: bool = False) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(node, deep=deep)  # type: ignore[misc]  # an error
        _check_unique(node)
        self.flatten_mapping(node)  # the merge key << ; what the mapping itself says comes later
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                problem = "a key is a list or a mapping"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in NAMES:
                _as_names(value_node)
            elif key in NAMES_INSIDE and isinstance(value_node, yaml.MappingNode):
                as_text(value_node)
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping

    def construct_yaml_map(self: Any, node: Any) -> Any:
        yield self.construct_mapping(node)


def _check_unique(node: Any) -> None:
    keys: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' occurs twice", key.start_mark
                )
            keys.add(key.value)


def _as_names(node: Any) -> None:
    """Make a scalar, or the scalars of a list, texts."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _as_names(item)
    elif isinstance(node, yaml.ScalarNode) and node.tag != _NULL:
        node.tag = _TEXT


def as_text(node: Any) -> None:
    """Make all scalars inside a node texts; those of a mapping's keys are anyway."""
    _as_names(node)
    if isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            as_text(value)


def _loader(base: Any) -> Any:
    """Return a loader class that derives from one of PyYAML's."""
    loader: Any = type("Loader", (_Names, base), {})
    loader.add_implicit_resolver(*_FLOAT)
    loader.add_constructor("tag:yaml.org,2002:map", loader.construct_yaml_map)
    loader.yaml_constructors = {
        tag: function for tag, function in loader.yaml_constructors.items() if tag in _TAGS
    }
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _TAGS]
        for first, resolvers in loader.yaml_implicit_resolvers.items()
    }
    return loader


# The loader in C, where PyYAML was built with it, is several times faster.
_FAST = _loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
_PLAIN = _loader(yaml.SafeLoader)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that the loader would take for something else."""


_Dumper.add_implicit_resolver(*_FLOAT)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> Any:
    style = '"' if _NEXT_LINE in text else None
    return dumper.represent_scalar(_TEXT, text, style=style)


_Dumper.add_representer(str, _represent_text)


def load(content: str | bytes, *, name: str | None = None, text: bool = False) -> Any:
    """Return the content of a YAML document.

    Args:
        content: the document; bytes in UTF-8, or in UTF-16 with its mark.
        name: name of the setting whose value the document is; None for a whole file.
        text: whether all values are texts, whatever they look like.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    escaped = content if isinstance(content, str) else content.decode(errors="replace")
    kind = _PLAIN if _SURROGATE.search(escaped) else _FAST
    loader, node = yaml_limits.compose(content, kind)
    try:
        if node is None:
            return None
        if text or (name in NAMES_INSIDE and isinstance(node, yaml.MappingNode)):
            as_text(node)
        elif name in NAMES:
            _as_names(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def dump(values: Mapping[str, Any]) -> str:
    """Return YAML text with the keys in their order."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
