"""What an array holds by its name: images or labels, of which part of a data set.

`x_train` and `y_train`, `train_images` and `train_labels` (MedMNIST), `trainX`, `Xtr` and `X` are
recognised. The name of the file or of its folder says the part if that of the array does not, as in
SVHN's `train_32x32.mat`.
"""

from __future__ import annotations

import re

from episodes.datasets.arrays.files import Array
from episodes.datasets.part_names import part_in, part_of

_IMAGE_WORDS = {
    *("x", "xs", "image", "images", "img", "imgs", "pixel", "pixels", "picture", "pictures"),
    *("photo", "photos", "input", "inputs", "data"),
}
_LABEL_WORDS = {"y", "ys", "label", "labels", "target", "targets", "lbl", "lbls", "lab", "labs"}
_NAME_KEYS = {
    *(
        "classes",
        "classnames",
        "labelnames",
        "targetnames",
        "categories",
        "categorynames",
        "listclasses",
    ),
}
_FILLERS = {
    *("set", "dataset", "split", "part", "the", "all", "full", "array", "arr", "np", "orig"),
}
_PARTS = {"tr": "train", "te": "test", "ts": "test", "va": "validation"}
_PARTS |= {"extra": "extra", "unlabeled": "extra"}  # of SVHN and STL-10
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=X)(?=[a-z]{2})")


def role_of(array: Array) -> tuple[str, str] | None:
    """Return the part and what an array holds: "images", "labels" or "names"; None if unknown.

    The part is an empty string if no name says it.
    """
    if re.sub(r"[\W_]", "", array.key.lower()) in _NAME_KEYS:
        return "", "names"
    words = [piece for word in words_of(array.key) for piece in _pieces(word)]
    meanings = [_meaning(word) for word in words]
    if array.key == array.path.stem:  # the name of a file may begin with that of the data set
        while meanings and meanings[0] is None:
            meanings.pop(0)
    parts = {word for what, word in filter(None, meanings) if what == "part"}
    kinds = {word for what, word in filter(None, meanings) if what == "kind"}
    if None in meanings or len(parts) > 1 or not kinds:
        return None
    for name in (array.path.stem, part_of(array.path.parent.name) or ""):
        if not parts:
            meanings = [_meaning(word) for word in words_of(name)]
            parts = {word for what, word in filter(None, meanings) if what == "part"}
    part = parts.pop() if len(parts) == 1 else ""
    return part, "labels" if "labels" in kinds else "images"


def words_of(name: str) -> list[str]:
    """Return the words of a name in small letters, also if capital letters separate them."""
    return re.findall(r"[a-z]+", _CAMEL.sub(" ", name).lower())


def _meaning(word: str) -> tuple[str, str] | None:
    """Return "part" and the part, or "kind" and "images" or "labels"; None for another word."""
    if part := _part(word):
        return "part", part
    if word in _LABEL_WORDS:
        return "kind", "labels"
    if word in _IMAGE_WORDS:
        return "kind", "images"
    return ("filler", word) if word in _FILLERS else None


def _part(word: str) -> str | None:
    return _PARTS.get(word) or part_in(word)


def _pieces(word: str) -> list[str]:
    """Divide a word such as `xtrain`, `trainx` or `ytest` into the part and the rest."""
    for other in sorted(_IMAGE_WORDS | _LABEL_WORDS, key=len, reverse=True):
        for rest in (word.removeprefix(other), word.removesuffix(other)):
            if rest and rest != word and _part(rest):
                return [other, rest]
    return [word]
