"""Oracle: margins of a head that is written by hand, and tables read back with the csv module."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fewshot.app import answers
from fewshot.app.photos import File, Photo, body_of, read
from fewshot.model import file_format
from fewshot.model.classifier import ImageClassifier
from fewshot.model.suggest import select
from fewshot.model.suggest.picks import Picks, Pool
from tests.fewshot.model import own_photos


@pytest.fixture(scope="module")
def classifier(model: Path) -> ImageClassifier:
    return file_format.load(model, "cpu")


@pytest.fixture
def pile(classifier: ImageClassifier, tmp_path: Path) -> list[Photo]:
    folder = own_photos.write(tmp_path / "new", {"red": 3, "white": 3, "blue": 1}, first=80)
    files = [
        File(path, f"{path.parent.name}/{path.name}") for path in sorted(folder.rglob("*.png"))
    ]
    return read(files, body_of(classifier), tmp_path).photos


def test_answers_are_ranked(classifier: ImageClassifier, pile: list[Photo]) -> None:
    rows = answers.answers(classifier, pile)
    assert [one.photo for one in rows] == pile
    for one in rows:
        assert sorted(one.labels) == [0, 1, 2]
        assert one.probabilities == sorted(one.probabilities, reverse=True)
        assert sum(one.probabilities) == pytest.approx(1, abs=1e-5)
        assert one.refused == (one.known < classifier.rejection.threshold)
    assert answers.answers(classifier, []) == []


def test_suggestions_are_different_photos_of_the_pile(
    classifier: ImageClassifier, pile: list[Photo]
) -> None:
    for own in (classifier, None):
        chosen = answers.suggestions(own, [], pile, 4)
        assert len({one.key for one in chosen}) == 4
    assert len(answers.suggestions(None, pile[:2], pile[2:], 99)) == len(pile) - 2
    assert answers.suggestions(None, pile, [], 3) == []


def test_of_equal_photos_one_is_suggested(classifier: ImageClassifier, pile: list[Photo]) -> None:
    equal = [replace(pile[0], key=f"copy {number}") for number in range(40)]
    for own in (classifier, None):
        chosen = answers.suggestions(own, [], [*equal, *pile[1:3]], 12)
        assert sorted(one.key for one in chosen) == sorted(["copy 0", pile[1].key, pile[2].key])


def test_suggestions_are_weighted_by_one_minus_the_margin(
    classifier: ImageClassifier, pile: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[Pool] = []
    original = select.pick

    def noted(pool: Pool, budget: int, *, copies: torch.Tensor) -> Picks:
        pools.append(pool)
        return original(pool, budget, copies=copies)

    monkeypatch.setattr(select, "pick", noted)
    answers.suggestions(classifier, [], pile, 2)
    (pool,) = pools
    assert pool.uncertainty is not None
    rows = [one.probabilities for one in answers.answers(classifier, pile)]
    assert pool.uncertainty.tolist() == pytest.approx([1 - row[0] + row[1] for row in rows])


def test_neighbours_of_a_model_have_no_pictures(
    classifier: ImageClassifier, pile: list[Photo]
) -> None:
    nearest = answers.neighbours(classifier, [], pile[0], 3)
    assert [one.label for one in nearest] == ["blue"] * 3
    assert all(one.thumbnail is None for one in nearest)
    similarities = [one.similarity for one in nearest]
    assert similarities == sorted(similarities, reverse=True)


def test_tables(classifier: ImageClassifier, pile: list[Photo]) -> None:
    text = answers.table_of_answers(classifier.classes, answers.answers(classifier, pile))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["file"] for row in rows] == [photo.name for photo in pile]
    assert set(rows[0]) == {
        *("file", "label", "probability", "known", "refused", "label_2", "probability_2"),
    }
    named = Photo(
        "0", 'a, "b".png', torch.zeros(1), torch.zeros(3, 8, 8), Path("small.jpg"), None, "x,y"
    )
    rows = list(csv.reader(io.StringIO(answers.table_of_labels([named]))))
    assert rows == [["image_path", "label"], ['a, "b".png', "x,y"]]
