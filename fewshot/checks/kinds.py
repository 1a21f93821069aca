"""The kinds of faults that the checks report: how serious each is, and what to do about it."""

from __future__ import annotations

from typing import Literal, NamedTuple

# Serious: a fact that makes results wrong. Likely: a guess that is worth an inspection. Note: how
# an image looks, which may be intended.
Severity = Literal["serious", "likely", "note"]


class Kind(NamedTuple):
    """A kind of fault.

    Attributes:
        severity: how serious it is.
        singular: what one of them is called, as a heading.
        plural: what several of them are called.
        remedy: what to do, as a sentence.
    """

    severity: Severity
    singular: str
    plural: str
    remedy: str


# In the order in which they are reported.
KINDS: dict[str, Kind] = {
    "broken": Kind(
        "serious",
        "file that cannot be read",
        "files that cannot be read",
        "Save them again in a format that can be read, or remove them.",
    ),
    "copy in the test set": Kind(
        "serious",
        "image that is also in the test set",
        "images that are also in the test set",
        "Remove them here: a test on images that were learned from shows nothing.",
    ),
    "same image in two classes": Kind(
        "serious",
        "image in two classes",
        "images in two classes",
        "Decide which class is right and remove the other file.",
    ),
    "exact copy": Kind(
        "serious",
        "exact copy",
        "exact copies",
        "Remove all but one of each: copies count double and flatter a cross-validation.",
    ),
    "likely label error": Kind(
        "likely",
        "label that is probably wrong",
        "labels that are probably wrong",
        "Look through them and move the images that are in the wrong class.",
    ),
    "image of no class": Kind(
        "likely",
        "image that resembles no class",
        "images that resemble no class",
        "Look through them and remove what does not belong here.",
    ),
    "near copy": Kind(
        "likely",
        "near copy",
        "near copies",
        "Remove those that show nothing new, or use `--group-by` so that they share a fold.",
    ),
    "shortcut": Kind(
        "likely",
        "shortcut",
        "shortcuts",
        "Take the images of all classes in the same way, or expect less on other images.",
    ),
    "too few images": Kind(
        "likely",
        "class with too few images",
        "classes with too few images",
        "Label more images of these classes.",
    ),
    "unequal classes": Kind(
        "likely",
        "imbalance of the classes",
        "classes of very unequal sizes",
        "Label more images of the small classes; `fewshot fit` expects all classes equally often.",
    ),
    "low information": Kind(
        "note",
        "image that shows almost nothing",
        "images that show almost nothing",
        "Remove them if nothing can be recognised.",
    ),
    "blurry": Kind(
        "note", "blurry image", "blurry images", "Remove them if new images will be sharp."
    ),
    "dark": Kind("note", "dark image", "dark images", "Remove them if nothing can be recognised."),
    "light": Kind(
        "note",
        "overexposed image",
        "overexposed images",
        "Remove them if nothing can be recognised.",
    ),
    "grey": Kind(
        "note",
        "grey image among colour images",
        "grey images among colour images",
        "Check where they come from.",
    ),
    "odd aspect": Kind(
        "note",
        "very wide or very tall image",
        "very wide or very tall images",
        "Crop them: their margins are cut off.",
    ),
    "tiny": Kind(
        "note", "tiny image", "tiny images", "Replace them by larger ones if there are any."
    ),
}


def order(kind: str) -> int:
    """Return the position of a kind in reports; one that is not listed comes last."""
    return list(KINDS).index(kind) if kind in KINDS else len(KINDS)
