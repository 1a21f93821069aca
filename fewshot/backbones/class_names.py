"""Match the classes of a pretraining to the classes of other data, by their names.

The lists `kinds` and `nearest` were written by hand for names of ImageNet's classes; they are in
weights/mini-resnet.classes.yaml, with their origin. Any other name is matched by its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fewshot import config
from fewshot.backbones import own_weights
from fewshot.errors import UserError

SUFFIX = ".classes.yaml"  # replaces .safetensors in the name of a file of weights
LISTS = own_weights.SHIPPED / f"mini-resnet{SUFFIX}"
EXAMPLES = 4  # classes that `overlap_note` names


class ClassNames(NamedTuple):
    """The classes of a pretraining.

    Attributes:
        data: name of the data set of the pretraining.
        classes: their names, in the order of the outputs of the classifier.
        kinds: name of a class of other data -> the classes that are kinds of it.
        nearest: the same for classes without a kind: the classes that resemble it most.
    """

    data: str
    classes: tuple[str, ...]
    kinds: Mapping[str, tuple[str, ...]]
    nearest: Mapping[str, tuple[str, ...]]

    def same(self, name: str) -> tuple[str, ...]:
        """Return the classes that are the named class, or kinds of it.

        They are those of the list; without one, all whose name or last word is that name.
        """
        name = plain(name)
        by_words = (known for known in self.classes if _means(known, name))
        return self.kinds.get(name) or tuple(by_words)

    def matches(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the classes for each name: the same ones, else the nearest, else none."""
        return {name: self.same(name) or self.nearest.get(plain(name), ()) for name in names}

    def numbers(self, table: Mapping[str, Sequence[str]], names: Sequence[str]) -> list[list[int]]:
        """Return for each name the numbers of its classes.

        Args:
            table: name -> classes, as `matches` returns or as a user gives it.
            names: all names.

        Raises:
            UserError: the table names something that does not exist, or has no class at all.
        """
        number_of = {name: number for number, name in enumerate(self.classes)}
        for name, group in table.items():
            if name not in names:
                raise UserError(
                    f"learner.prior_from_names: the data has no class '{name}': "
                    f"{config.nearest(name, names)}"
                )
            for known in group:
                if known not in number_of:
                    raise UserError(
                        f"learner.prior_from_names: {self.data}, the data of the pretraining, has "
                        f"no class '{known}': {config.nearest(known, self.classes)}"
                    )
        if not any(table.values()):
            raise UserError(
                f"learner.prior_from_names: no class of {self.data}, the data of the pretraining, "
                "has the name of a class of this data: give a mapping to lists of its classes "
                "(docs/backbones.md), or remove the setting."
            )
        return [[number_of[known] for known in table.get(name, ())] for name in names]


def plain(name: str) -> str:
    """Return a name in lower case, with spaces between its words."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def _means(known: str, name: str) -> bool:
    return plain(known) == name or plain(known).endswith(f" {name}")


def of_data(data: str, classes: Sequence[str]) -> ClassNames:
    """Return the classes of a data set, with the parts of the lists that name them."""
    kinds, nearest = (
        {name: tuple(one for one in known if one in classes) for name, known in table.items()}
        for table in (_lists()["kinds"], _lists()["nearest"])
    )
    return ClassNames(data, tuple(classes), kinds, nearest)


def of_weights(path: Path) -> ClassNames | None:
    """Return the classes that a file of weights was trained on; None if it does not name them.

    The card of the file names them, or a list beside the file.
    """
    card = own_weights.card(path)
    beside = path.with_suffix(SUFFIX)
    names = card.get("class_names") or (_classes(beside) if beside.is_file() else None)
    return None if names is None else of_data(card.get("data", "unknown data"), names)


@cache
def _lists() -> Mapping[str, Mapping[str, list[str]]]:
    return config.read(LISTS)


@cache
def _classes(path: Path) -> list[str]:
    classes: list[str] = config.read(path)["classes"]
    return classes


def overlap_note(use: str, known: ClassNames, data: str, names: Sequence[str]) -> str | None:
    """Return a sentence on the classes in common with the data; None if there are none.

    Args:
        use: what was done with the known classes, such as "pretrained".
        known: the classes of the pretraining or of the meta-training.
        data: name of the data set.
        names: its classes.
    """
    shared = {name: known.same(name) for name in names if known.same(name)}
    if not shared:
        return None
    examples = [f"{classes[0]} ({name})" for name, classes in shared.items()][:EXAMPLES]
    n_known = len({one for classes in shared.values() for one in classes})
    return (
        f"{use} on {n_known} of {len(known.classes)} classes of {known.data} that show "
        f"{len(shared)} of the {len(names)} classes of {data}, such as {', '.join(examples)}: the "
        "network has learned from their labels (docs/backbones.md)"
    )
