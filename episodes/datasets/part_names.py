"""Which part of a data set a folder or file belongs to, by its name: train, test or validation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

PartName = Literal["train", "test", "validation"]

_WORDS: dict[str, PartName] = {
    **dict.fromkeys(("train", "training", "trainval", "trn"), "train"),
    **dict.fromkeys(("trainings", "entrainement", "entraînement", "entrenamiento"), "train"),
    **dict.fromkeys(
        ("treino", "treinamento", "addestramento", "обучение", "训练", "训练集"), "train"
    ),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "holdout", "heldout"), "test"),
    **dict.fromkeys(("prueba", "teste", "тест", "测试", "测试集"), "test"),
    **dict.fromkeys(("validation", "validating", "validate", "valid", "val"), "validation"),
    **dict.fromkeys(
        ("dev", "development", "validierung", "validierungs", "验证", "验证集"), "validation"
    ),
}
# Names that are parts only beside each other.
_PAIRS: tuple[dict[str, PartName], ...] = (
    {"tr": "train", "te": "test", "ts": "test", "vl": "validation"},
    {"support": "train", "query": "test"},
    {"gallery": "train", "query": "test", "probe": "test"},
)
# Words that may stand beside the word for a part: they say nothing about the content.
_FILLERS = (
    "set sets data dataset datasets image images img imgs picture pictures pic pics photo photos "
    "file files folder folders split splits part subset sample samples seg of the x y my all full "
    "raw orig original clean cropped crop crops resized processed preprocessed final new small "
    "batch shard jpg jpeg png labelled labeled"
)
_GLUED = re.compile(
    rf"({'|'.join(_WORDS)})(set|sets|data|dataset|images|imgs|img|split|part|daten)"
)
_HASH = re.compile(r"(?<![0-9a-zA-Z])(?=[a-f]*\d)[0-9a-f]{8,}(?![0-9a-zA-Z])")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def part_of(name: str) -> PartName | None:
    """Return the part that a name stands for if it says nothing else, in whatever spelling.

    `Training`, `TRAIN`, `train_set`, `seg_train`, `TestSet`, `val2017`, `valid` and `dev` are
    parts; `freight_train`, `test_tube` and `valid_tickets` are not.

    Args:
        name: name of a folder, or of a file without its suffix.
    """
    part, others = _split(name)
    return part if not others else None


def part_in(name: str) -> PartName | None:
    """Return the part that one word of a name stands for, whatever the other words are.

    This suits names of tables (`beans-train-00000-of-00003`), which are not class names.

    Args:
        name: name of a file without its suffix.
    """
    return _split(name)[0]


def parts_among(names: Iterable[str]) -> dict[str, PartName]:
    """Return the part of each of the names that is one, given the names beside it.

    In addition to `part_of`, names are parts if they differ in the word for a part alone, and one
    of them is a training part: `alphabet_train` and `alphabet_test`. Some names are parts only
    beside each other, such as `support` and `query`.

    Args:
        names: names of the folders in one folder.
    """
    names = list(names)
    parts: dict[str, PartName] = {}
    for pair in _PAIRS:
        members = {name: pair[name.lower()] for name in names if name.lower() in pair}
        if len(set(members.values())) > 1 and "train" in members.values():
            parts.update(members)
    pairs: dict[tuple[str, ...], dict[str, PartName]] = {}
    for name in names:
        part, others = _split(name)
        if part and not others:
            parts[name] = part
        elif part:
            pairs.setdefault(others, {})[name] = part
    for members in pairs.values():
        if len(set(members.values())) > 1 and "train" in members.values():
            parts.update(members)
    return parts


def _split(name: str) -> tuple[PartName | None, tuple[str, ...]]:
    """Return the part that a name contains, and the words of the name that say something else.

    The part is None if there is none, or if a name has the words for a training and a test part.
    """
    text = _CAMEL.sub(" ", _HASH.sub(" ", name)).lower()
    text = re.sub(r"\bh[eo]ld[\W_]*out\b", "holdout", text)
    parts: set[PartName] = set()
    others = []
    for word in re.findall(r"[^\W\d_]+", text):
        glued = _GLUED.fullmatch(word)
        part = _WORDS.get(glued[1] if glued else word)
        if part:
            parts.add(part)
        elif word not in _FILLERS.split():
            others.append(word)
    if parts == {"train", "validation"}:  # `train_val`: the images to learn from, all of them
        parts = {"train"}
    return (parts.pop() if len(parts) == 1 else None), tuple(others)
