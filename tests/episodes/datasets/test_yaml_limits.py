"""Oracle: documents that are counted by hand, and PyYAML alone for those that are harmless."""

from __future__ import annotations

import pytest
import yaml

from episodes.datasets import yaml_limits

LOADERS = [yaml.BaseLoader, yaml.SafeLoader, *([yaml.CSafeLoader] if yaml.__with_libyaml__ else [])]


def load(text: str, kind: type = yaml.SafeLoader) -> object:
    loader, root = yaml_limits.compose(text, kind)
    return None if root is None else loader.construct_document(root)


def laughs(levels: int, width: int = 9) -> str:
    """Return a document whose last line stands for width ** levels texts."""
    lines = [f"a0: &a0 [{', '.join(['ha'] * width)}]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
    return "\n".join(lines)


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a: " + "[" * 100_000 + "]" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "\n".join("  " * depth + "a:" for depth in range(300)),
        "a0: &a0 [x]\n" + "\n".join(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 300)),
    ],
)
def test_depth_is_limited(text: str, kind: type):
    with pytest.raises(yaml.YAMLError, match="more than 100 lists and mappings"):
        load(text, kind)


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize(
    "text", ["&a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}", "a: &a [b, {c: [*a]}]", "? &a [*a]\n: b"]
)
def test_an_alias_of_itself_is_an_error(text: str, kind: type):
    with pytest.raises(yaml.YAMLError, match="a value that contains it"):
        load(text, kind)


@pytest.mark.parametrize("kind", LOADERS)
def test_aliases_may_repeat_few_values(kind: type):
    with pytest.raises(yaml.YAMLError, match="aliases repeat more than 100,000 values"):
        load(laughs(9), kind)
    merges = "a0: &a0 {k: v}\n" + "\n".join(
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 9)
    )
    with pytest.raises(yaml.YAMLError, match="aliases repeat"):
        load(merges, kind)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 99 + "]" * 99,
        laughs(4),  # 9 + 81 + 729 + 6561 texts
        "x: &x {a: 1}\ny: {<<: *x, b: [*x, *x]}",
        "[" + "x, " * 150_000 + "]",  # without aliases, length is no limit
    ],
)
def test_harmless_documents_are_read(text: str):
    assert load(text) == yaml.safe_load(text)
