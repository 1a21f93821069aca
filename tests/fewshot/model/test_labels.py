"""Oracles: labels written here by hand, and numpy.unique."""

from __future__ import annotations

import numpy as np
import pytest

from fewshot.errors import UserError
from fewshot.model.labels import as_classes, labels_of


@pytest.mark.parametrize("y", [["b", "a", "b"], [10, 9, 10], [2.0, 1.0, 2.0], [True, False, True]])
def test_labels_of_any_type_are_positions_in_sorted_classes(y: list[object]):
    labels = labels_of(y, 3)
    assert labels.positions.tolist() == [1, 0, 1]
    assert labels.classes.tolist() == sorted(set(y))
    assert labels.names == tuple(str(label) for label in sorted(set(y)))


def test_integers_come_back_from_their_names():
    labels = labels_of([7, -2, 10], 3)
    assert labels.are_integers
    assert as_classes(labels.names, True).tolist() == [-2, 7, 10]
    assert as_classes(labels.names, False).tolist() == ["-2", "7", "10"]
    assert not labels_of([True, False], 2).are_integers


@pytest.mark.parametrize("added", ["cat", "01", "-0", "+3", "1_0", "\u0663", "2.0", ""])
def test_a_class_that_is_no_integer_makes_all_of_them_strings(added: str):
    assert as_classes(["0", "10", added], True).tolist() == ["0", "10", added]


def test_known_classes_need_no_image():
    labels = labels_of(["c", "a"], 2, known=np.array(["b", "c"]))
    assert labels.classes.tolist() == ["a", "b", "c"]
    assert labels.positions.tolist() == [2, 0]


def test_wrong_labels_are_refused():
    with pytest.raises(UserError, match="3 images, 2 labels"):
        labels_of(["a", "b"], 3)
    with pytest.raises(ValueError, match="continuous"):
        labels_of([0.5, 0.25], 2)
