"""What the components of the page show of a session, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from fewshot.app import words
from fewshot.app.answers import Answer
from fewshot.app.photos import Photo
from fewshot.app.session import Session

N_SUGGESTED = 12
MOST_SHOWN = 400  # photos in a gallery
HEADERS = ["", "photo", "class", "%", "known", "name"]

Gallery = list[tuple[str, str]]  # files and captions
Row = list[str | int | float]


class Shown(NamedTuple):
    """Photos that a gallery or a table shows, in its order.

    Attributes:
        keys: their keys.
        items: what the component gets.
    """

    keys: list[str]
    items: Gallery


class Table(NamedTuple):
    """The rows of a table, and the keys of their photos."""

    keys: list[str]
    rows: list[Row]


class Detail(NamedTuple):
    """What is shown of one photo.

    Attributes:
        picture: file of its small picture.
        title: its name.
        text: its label, or what the classifier says.
        label: its label; None without one.
        neighbours: the labelled photos that are most like it.
        others: the same of labelled images of a model file, which have no pictures, in words.
    """

    picture: str
    title: str
    text: str
    label: str | None
    neighbours: Gallery
    others: str


def labelled(session: Session, label: str | None) -> Shown:
    """Return the labelled photos of a class, or of all classes; the last ones come first."""
    photos = [one for one in reversed(session.labelled) if label in (None, one.label)]
    return _shown(photos[:MOST_SHOWN], {one.key: one.label or "" for one in photos})


def suggested(session: Session) -> Shown:
    """Return the photos to label next, each with what the classifier says."""
    answers = {one.photo.key: one for one in session.answers()}
    classes = session.classes
    photos = session.suggestions(N_SUGGESTED)
    captions = {key: _short(classes, one) for key, one in answers.items()}
    return _shown(photos, captions)


def table(session: Session) -> Table:
    """Return the answers for all photos without a label, in the order in which they came."""
    classes = session.classes
    answers = session.answers()
    rows: list[Row] = [
        [
            number,
            f'<img src="gradio_api/file={escape(str(one.photo.thumbnail))}" alt="" height="44">',
            _class_cell(classes[one.labels[0]], one.refused),
            round(100 * one.probabilities[0]),
            round(one.known, 2),
            base_name(one.photo),
        ]
        for number, one in enumerate(answers, 1)
    ]
    return Table([one.photo.key for one in answers], rows)


def detail(session: Session, key: str) -> Detail | None:
    """Return what is shown of one photo; None if it is no longer there."""
    photo = session.photos.get(key)
    if photo is None:
        return None
    text = f"labelled {photo.label}"
    if photo.label is None:
        own = [one for one in session.answers() if one.photo.key == key]
        text = words.answer(session.classes, own[0]) if own else "without a label"
    pictures, others = [], []
    for one in session.neighbours(key):
        text_of_one = f"{one.label} ({one.similarity:.2f})"
        if one.thumbnail is None:
            others.append(f"{one.name}: {text_of_one}")
        else:
            pictures.append((str(one.thumbnail), text_of_one))
    return Detail(
        str(photo.thumbnail), base_name(photo), text, photo.label, pictures, ", ".join(others)
    )


def base_name(photo: Photo) -> str:
    """Return the name of a photo without its folder."""
    return photo.name.rpartition("/")[2]


def _shown(photos: Sequence[Photo], captions: dict[str, str]) -> Shown:
    items = [(str(one.thumbnail), captions.get(one.key, "")) for one in photos]
    return Shown([one.key for one in photos], items)


def _class_cell(name: str, refused: bool) -> str:
    return f"none (nearest: {name})" if refused else name


def _short(classes: tuple[str, ...], one: Answer) -> str:
    if one.refused:
        return "no class?"
    return f"{classes[one.labels[0]]}? {one.probabilities[0]:.0%}"
