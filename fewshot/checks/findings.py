"""What the checks of a data set find."""

from __future__ import annotations

from typing import Literal, NamedTuple

Part = Literal["data", "against"]


class Place(NamedTuple):
    """An image of the data set, or of the one that it is compared with.

    Attributes:
        part: which of the two data sets it is in.
        position: its place among the images that could be read; None for an unreadable file.
        name: its path or number.
    """

    part: Part
    position: int | None
    name: str


class Finding(NamedTuple):
    """A fault, or a likely one.

    Attributes:
        kind: the kind of fault, such as "near copy".
        places: the images concerned; the first is the one to remove or correct. Empty if the
            fault is one of the whole data set.
        words: a sentence for the user.
        score: how sure it is, from 0 to 1; 1 for facts.
        advice: class that the first image more likely belongs to; empty if the fault is another.
    """

    kind: str
    places: tuple[Place, ...]
    words: str
    score: float = 1.0
    advice: str = ""
