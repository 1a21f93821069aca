"""What is known about public data sets whose files do not hold it: class names and mirroring."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np


class Known(NamedTuple):
    """A public data set.

    Attributes:
        classes: its class names, in the order of its labels.
        mirror: whether a mirrored image belongs to the same class.
    """

    classes: tuple[str, ...]
    mirror: bool


_FASHION = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
# First labels of a training part -> the data set. FashionMNIST's files have the names of MNIST's.
_BY_FIRST_LABELS = {
    (5, 0, 4, 1, 9, 2, 1, 3, 1, 4): Known(tuple("0123456789"), mirror=False),
    (9, 0, 0, 3, 0, 2, 7, 2, 5, 5): Known(_FASHION, mirror=True),
}
_BY_NAME = {
    r"fashion[-_ ]?mnist": Known(_FASHION, mirror=True),
    r"(?<![a-z])kmnist|kuzushiji[-_ ]?mnist": Known(_KUZUSHIJI, mirror=False),
}
# Names of data sets of digits, letters and signs. MedMNIST's names, such as PathMNIST, are others.
_NOT_MIRRORED = re.compile(
    r"(?<![a-z])([ekq]|not)?mnist(?![a-z])|svhn|usps|semeion|omniglot|kuzushiji|k49|gtsrb"
    r"|renderedsst2|(train|test|extra)_32x32"
    r"|(?<![a-z])(digit|letter|character|alphabet|traffic.?sign|sign.?language)s?(?![a-z])",
    re.IGNORECASE,
)


def known_set(name: str, labels: np.ndarray | None = None) -> Known | None:
    """Recognise a data set of ten classes by its name, or by the labels of its training part.

    Args:
        name: name or path of the data set.
        labels: whole numbers [n]; None if they are not to be read.
    """
    if labels is not None:
        first = tuple(int(label) for label in labels[:10])
        if first in _BY_FIRST_LABELS:
            return _BY_FIRST_LABELS[first]
    for pattern, known in _BY_NAME.items():
        if re.search(pattern, name, re.IGNORECASE):
            return known
    return None


def may_be_mirrored(name: str) -> bool:
    """Return whether a mirrored image belongs to the same class, by the name of the data set."""
    known = known_set(name)
    return known.mirror if known else not _NOT_MIRRORED.search(name)
