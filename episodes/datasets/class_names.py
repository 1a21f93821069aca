"""Class names that differ only in what people overlook: case, spaces and hyphens."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

_NEGATIVE = re.compile(r"-\d+(\.\d+)?")


def folded(name: str) -> str:
    """Return a name without regard to case, spaces, hyphens, underscores and Unicode's forms."""
    text = unicodedata.normalize("NFKC", name).casefold()
    if _NEGATIVE.fullmatch(text):
        return text
    return re.sub(r"[\s_-]+", " ", text).strip()


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of names that are equal when folded, sorted."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(folded(name), []).append(name)
    return [tuple(sorted(group)) for group in groups.values() if len(group) > 1]


def matches(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return the known name that each of the names stands for.

    A name stands for itself if it is known, and otherwise for the known name that is equal when
    folded, if there is one, and no other of the names is equal to it. Names that stand for none
    are left out.

    Args:
        names: names of one part of a data set.
        known: names of another part.
    """
    names, known = list(names), set(known)
    candidates: dict[str, list[str]] = {}
    for name in known:
        candidates.setdefault(folded(name), []).append(name)
    rivals = Counter(folded(name) for name in names)
    result = {name: name for name in names if name in known}
    for name in names:
        same = candidates.get(folded(name), [])
        if name not in result and len(same) == 1 and rivals[folded(name)] == 1:
            result[name] = same[0]
    return result
