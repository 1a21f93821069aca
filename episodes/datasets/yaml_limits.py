"""YAML of strangers: limits that hold before anything is built from a document.

Lists inside one another by the thousand overflow the stack of the parser in C, which ends the
process. Aliases of aliases stand for billions of values, and an alias of itself for endless ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

DEEPEST = 100  # lists and mappings inside one another
MOST_REPEATED = 100_000  # values that aliases repeat


def compose(content: str | bytes, kind: Any) -> Any:
    """Return a loader of a document, and the document's root node; None for an empty one.

    Args:
        content: the document.
        kind: the class of the loader.

    Raises:
        yaml.YAMLError: it is not YAML, or exceeds the limits of this module.
    """
    _check_depth(content, kind)
    loader = kind(content)
    try:
        root = loader.get_single_node()
        if root is not None:
            _check_aliases(root)
    except BaseException:
        loader.dispose()
        raise
    return loader, root


def _check_depth(content: str | bytes, kind: Any) -> None:
    """Raise a YAMLError if lists and mappings are too deep for the functions that read them."""
    depth = 0
    for event in yaml.parse(content, Loader=kind):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise _too_deep(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Extent(NamedTuple):
    """The number of values at and below a node, with those of its aliases, and its depth."""

    values: int
    depth: int


def _check_aliases(node: Any) -> None:
    """Raise a YAMLError if aliases form a cycle, or repeat too many values."""
    extents: dict[Any, _Extent | None] = {}  # None: not yet finished

    def extent(node: Any) -> _Extent:
        if node in extents:
            if (known := extents[node]) is None:
                problem = "an alias stands for a value that contains it"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            return known
        extents[node] = None
        inside = [] if isinstance(node, yaml.ScalarNode) else node.value
        if isinstance(node, yaml.MappingNode):
            inside = [part for pair in inside for part in pair]
        parts = [extent(part) for part in inside]
        deepest = max((part.depth for part in parts), default=0)
        result = _Extent(1 + sum(part.values for part in parts), 1 + deepest)
        if result.values - len(extents) > MOST_REPEATED:
            problem = f"aliases repeat more than {MOST_REPEATED:,} values"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        if result.depth > DEEPEST + 1:  # a single value has depth 1
            raise _too_deep(node)
        extents[node] = result
        return result

    extent(node)


def _too_deep(place: Any) -> yaml.YAMLError:
    problem = f"more than {DEEPEST} lists and mappings are inside one another"
    return yaml.constructor.ConstructorError(None, None, problem, place.start_mark)
