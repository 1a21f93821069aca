"""Oracle: sentences written by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fewshot.app import words
from fewshot.app.answers import Answer
from fewshot.app.photos import Photo
from fewshot.app.session import Added, Session
from fewshot.model import file_format
from fewshot.model.card import Card, Quality
from fewshot.model.image_listing import NotRead

PHOTO = Photo("0", "photos/a.jpg", torch.zeros(1), torch.zeros(3, 8, 8), Path("small.jpg"))
QUALITY = Quality(0.875, 0.64, 0.96, 0.1, 24, 3, ("cat", "dog", 2), 0.1)
CARD = Card("", "", "probe", "", {"cat": 12, "dog": 12}, (), QUALITY, "", "", 0.0)


def test_the_accuracy_comes_with_its_interval_and_its_source() -> None:
    card = replace(CARD, forecast=("More labels help.",), notes=("nothing is refused",))
    assert words.accuracy(card) == [
        "Between 64% and 96% of new photos will get the right class (95% confidence).",
        "This comes from cross-validation: 21 of 24 labelled photos were classified correctly by "
        "models that had not seen them.",
        "cat and dog were confused most often (2 times).",
        "More labels help.",
        "Note: nothing is refused.",
    ]


def test_without_photos_to_hold_out_there_is_no_accuracy() -> None:
    unknown = Quality(None, None, None, None, 0, 0, None, 0.0)
    card = replace(CARD, quality=unknown, forecast=("Label two of each.",))
    assert words.accuracy(card) == ["Label two of each."]


def test_the_status_of_an_empty_page(tmp_path: Path) -> None:
    text = words.status(Session(tmp_path, device="cpu"))
    assert text.count("<b>0</b>") == 3
    assert words.BEGIN in text


def test_only_what_exists_is_offered_for_download(model: Path, tmp_path: Path) -> None:
    session = Session(tmp_path, device="cpu")
    text = words.downloads(session)
    assert words.NO_MODEL in text
    assert "href" not in text
    session.photos["0"] = replace(PHOTO, label="cat")
    assert words.downloads(session).count("href") == 1  # the table of labels
    text = words.downloads(Session(tmp_path, file_format.load(model, "cpu"), "cpu"))
    assert re.findall('href="download/(.*?)"', text) == ["model.fewshot", "predictions.csv"]


def test_the_status_of_a_model_counts_its_images(model: Path, tmp_path: Path) -> None:
    text = words.status(Session(tmp_path, file_format.load(model, "cpu"), "cpu"))
    assert "<b>3</b><span>classes</span>" in text
    assert "<b>22</b><span>labelled</span>" in text


@pytest.mark.parametrize(
    ("refused", "text"),
    [
        (False, "dog (75%), then cat (20%); known score 0.31"),
        (
            True,
            "probably none of the classes; the nearest is dog (75%), then cat (20%); known score "
            "0.31",
        ),
    ],
)
def test_an_answer(refused: bool, text: str) -> None:
    one = Answer(PHOTO, [1, 0, 2], [0.75, 0.2, 0.05], 0.312, refused)
    assert words.answer(("cat", "dog", "owl"), one) == text


def test_what_was_added() -> None:
    assert words.added(Added(1, [], [])) == "1 photo added."
    many = Added(0, ["a.jpg (labelled cat)"], [NotRead("b.txt", "not an image")])
    assert words.added(many) == (
        "0 photos added; there already: a.jpg (labelled cat); left out 1: b.txt (not an image)."
    )
