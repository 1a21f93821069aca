"""Read divisions of classes into base, val and novel, and match them to the classes of a data set.

A file of a split is a mapping with the keys `base`, `val` and `novel`, and for people `title` and
`source`. Each part is a list of class names, or a mapping whose values say more about a class:

- a text holds other names of the class, separated by commas, and `n01532829: house finch, linnet`
  gives a WordNet id and its words;
- a list holds the members of a superclass, all of which stand for it in data that does not have a
  class of the superclass's own name.

A class of the data matches a class of the list by the best of these that applies:

1. the WordNet id in its name (`n01532829`, `n01532829_house_finch`, `house finch (n01532829)`); a
   class whose name holds an id matches by nothing else;
2. the first name in the list, apart from underscores;
3. the first name, without regard to case, underscores, hyphens, spaces, and a number in front
   (`001.Black_footed_Albatross`);
4. another name in the list, likewise.

The name of a class of the data ends at its first comma (`house finch, linnet`).
If two classes match equally well, nothing is guessed: that is an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, field_validator

from episodes.class_splits import Split, by_seed
from fewshot.config.loading import check, nearest, presets_folder
from fewshot.config.loading import read as read_yaml
from fewshot.config.schema import Settings
from fewshot.errors import UserError

PARTS = ("base", "val", "novel")
SEED = re.compile(r"seed:(\d+):(\d+)/(\d+)/(\d+)")
WORDNET_ID = re.compile(r"(?<![a-z0-9])n\d{8}(?!\d)")
N_KINDS = 4  # ways to match
EXAMPLES = 4  # classes that a message names

Classes = list[str] | dict[str, str | list[str]]


class SplitFile(Settings):
    """The content of a file in configs/splits."""

    title: str = Field(default="", description="The split in words.")
    source: str = Field(default="", description="Where the lists come from.")
    base: Classes = Field(default=[], description="Classes to train on.")
    val: Classes = Field(default=[], description="Classes to choose weights and settings on.")
    novel: Classes = Field(description="Classes to evaluate on.")

    @field_validator(*PARTS, mode="before")
    @classmethod
    def _list_or_mapping(cls, classes: Any) -> Any:
        if not isinstance(classes, dict | list):
            raise ValueError(f"expected a list of class names, or a mapping, not {classes!r}")
        return classes


@dataclass(frozen=True)
class Listed:
    """A class of a list.

    Attributes:
        part: base, val or novel.
        key: how the list calls it: a name, or a WordNet id.
        names: its names, the most common one first; none if the list has only an id.
        members: the classes that stand for it, if it is a superclass.
    """

    part: str
    key: str
    names: tuple[str, ...]
    members: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.key if self.key in self.names[:1] else " ".join((self.key, *self.names[:1]))

    def calls(self) -> tuple[list[str], ...]:
        """Return what a class of the data can be called, for each kind of match, best first."""
        plain = [_plain(name) for name in self.names]
        return [self.key], [_spaced(name) for name in self.names[:1]], plain[:1], plain[1:]


class Pair(NamedTuple):
    """A class of the list, and a class of the data that it matches."""

    listed: Listed
    name: str


def available() -> list[str]:
    """Return the names of the packaged splits, sorted."""
    return sorted(
        path.stem
        for path in (presets_folder() / "splits").glob("*.yaml")
        if "exclude_classes" not in read_yaml(path)
    )


def read(text: str, classes: Sequence[str], data: str) -> Split:
    """Return the split of a data set's classes that a name, a path or a seed stands for.

    Args:
        text: name of a packaged split, path of a YAML file, or `seed:S:BASE/VAL/NOVEL` for a
            random split by seed S into these numbers of classes.
        classes: class names of the data set.
        data: name of the data set, for messages.

    Returns:
        The split, with the classes of each part in the order of the data set.

    Raises:
        UserError: there is no such split, the data has not all of its classes, or classes match in
            more than one way.
    """
    if text.startswith("seed:"):
        if not (numbers := SEED.fullmatch(text)):
            raise UserError(
                f"split {text}: expected seed:S:BASE/VAL/NOVEL, such as seed:0:120/30/50."
            )
        seed, n_base, n_val, n_novel = map(int, numbers.groups())
        return by_seed(classes, seed, n_base, n_val, n_novel, data)
    return matched(_listed(_path(text)), classes, text, data)


def _path(text: str) -> Path:
    """Return the path of the file of a split."""
    if "/" in text or text.endswith((".yaml", ".yml")):
        return Path(text)
    path = presets_folder() / "splits" / f"{text}.yaml"
    if not path.is_file():
        raise UserError(
            f"there is no split '{text}': {nearest(text, available())} The path of a YAML file and "
            "seed:S:BASE/VAL/NOVEL work, too."
        )
    return path


def _listed(path: Path) -> list[Listed]:
    """Return the classes in a file, each of which is there once."""
    content = read_yaml(path, text=True)
    if "exclude_classes" in content:
        raise UserError(
            f"{path} is a list of classes to leave out of a pretraining (exclude_classes), not a "
            "split: a split has the keys base, val and novel."
        )
    file = check(SplitFile, content, str(path))
    listed = [
        one
        for part, classes in zip(PARTS, (file.base, file.val, file.novel), strict=True)
        for one in _of_part(part, classes)
    ]
    first: dict[str, Listed] = {}
    for one in listed:
        if other := first.get(one.key):
            places = f"{other.part} and in {one.part}" if other.part != one.part else one.part
            twice = "twice in" if other.part == one.part else "in"
            raise UserError(
                f"{path}: '{one}' is {twice} {places}: put every class into one part, once."
            )
        first[one.key] = one
    return listed


def _of_part(part: str, classes: Classes) -> list[Listed]:
    """Return the classes of a part of a file."""
    if isinstance(classes, list):
        return [Listed(part, name, (name,)) for name in classes]
    listed = []
    for key, value in classes.items():
        own = () if WORDNET_ID.fullmatch(key) else (key,)
        if isinstance(value, list):
            listed.append(Listed(part, key, own, tuple(value)))
        else:
            words = tuple(word.strip() for word in value.split(",") if word.strip())
            listed.append(Listed(part, key, own + words))
    return listed


def matched(listed: Sequence[Listed], classes: Sequence[str], split: str, data: str) -> Split:
    """Return the split of the classes of a data set that match those of a list.

    Args:
        listed: the classes of the list.
        classes: class names of the data set. Those that no class of the list matches are left out.
        split, data: what the list and the data set are called, for messages.

    Raises:
        UserError: a class of the list has no match, or several equally good ones.
    """
    if twice := [name for name in classes if classes.count(name) > 1]:
        raise UserError(f"{data} has two classes called '{twice[0]}': rename one of them.")
    plain_names = {_plain(name) for name in classes}
    sought: list[Listed] = []
    for one in listed:
        if one.members and _plain(one.key) not in plain_names:
            sought += [Listed(one.part, member, (member,)) for member in one.members]
        else:
            sought.append(one)
    pairs = _pairs(sought, classes, split, data)
    done = {pair.listed for pair in pairs}
    if missing := [one for one in sought if one not in done]:
        examples = ", ".join(f"'{one}'" for one in missing[:EXAMPLES])
        raise UserError(
            f"{data} lacks {len(missing)} of the {len(sought)} classes of the split {split}"
            f"{', such as' if len(missing) > EXAMPLES else ':'} {examples}; name its classes by "
            "WordNet ids or words of the list (docs/data.md), or take another split."
        )
    part_of = {pair.name: pair.listed.part for pair in pairs}
    return Split(*(tuple(name for name in classes if part_of.get(name) == part) for part in PARTS))


def _pairs(listed: Sequence[Listed], classes: Sequence[str], split: str, data: str) -> list[Pair]:
    """Return the classes that match, from the best kind of match to the weakest.

    A class that has found its match is not compared by the weaker kinds.
    """
    pairs: list[Pair] = []
    calls_of_names = {name: _calls(name) for name in classes}
    calls_of_listed = [(one, one.calls()) for one in listed]
    for kind in range(N_KINDS):
        by_call: dict[str, list[Listed]] = {}
        done = {pair.listed for pair in pairs}
        for one, calls in calls_of_listed:
            if one not in done:
                for call in set(calls[kind]):
                    by_call.setdefault(call, []).append(one)
        matches = {
            Pair(one, name): None
            for name in classes
            for call in calls_of_names[name][kind]
            for one in by_call.get(call, [])
        }
        taken = {pair.name for pair in pairs}
        new = [pair for pair in matches if pair.name not in taken]
        _check_unique(new, split, data)
        pairs += new
    return pairs


def _calls(name: str) -> tuple[list[str], ...]:
    """Return what a class of a list would be called to match a name, for each kind of match."""
    if ids := WORDNET_ID.findall(name):
        return ids, [], [], []
    first = name.split(",")[0]
    return [], [_spaced(first)], [_plain(first)], [_plain(first)]


def _check_unique(pairs: Sequence[Pair], split: str, data: str) -> None:
    """Raise UserError unless every class of the list and of the data is in one pair."""
    remedy = "put WordNet ids into the class names, or write a split with these names."
    by_name: dict[str, Pair] = {}
    by_listed: dict[Listed, Pair] = {}
    for pair in pairs:
        if other := by_name.get(pair.name):
            raise UserError(
                f"the class '{pair.name}' of {data} matches two classes of the split {split}, "
                f"'{other.listed}' and '{pair.listed}': {remedy}"
            )
        if other := by_listed.get(pair.listed):
            raise UserError(
                f"'{pair.listed}' of the split {split} matches two classes of {data}, "
                f"'{other.name}' and '{pair.name}': {remedy}"
            )
        by_name[pair.name] = by_listed[pair.listed] = pair


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _plain(name: str) -> str:
    """Return a name in lower case, without a number in front and without marks and spaces."""
    return re.sub(r"[\W_]+", "", re.sub(r"^\d+\.", "", name)).lower()
