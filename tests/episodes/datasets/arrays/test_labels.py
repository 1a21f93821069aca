"""Oracle: labels and class names written by hand."""

import numpy as np
import pytest

from episodes.datasets.arrays.labels import numbered, plain
from episodes.datasets.arrays.pixels import Unfit


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([2, 0, 1], [2, 0, 1]),
        ([[2], [0]], [2, 0]),
        ([2.0, 0.0], [2, 0]),
        ([[0, 0, 1], [1, 0, 0]], [2, 0]),
        ([[0.0, 1.0], [1.0, 0.0]], [1, 0]),
        ([True, False], ["True", "False"]),
        ([b"cat", b"dog"], ["cat", "dog"]),
        (["cat", "dog"], ["cat", "dog"]),
        ([-1, 1, 1], [-1, 1, 1]),
    ],
)
def test_labels_of_any_type_become_plain(labels: list[object], expected: list[object]) -> None:
    assert plain(np.array(labels)).tolist() == expected


@pytest.mark.parametrize(
    "labels",
    [[0.5, 1], [-2, 1], [[1, 1], [1, 0]], [[0, 0], [1, 0]], [[0.5, 0.5]], 7, [1j], [np.nan]],
)
def test_what_is_no_class_is_refused(labels: object) -> None:
    with pytest.raises(Unfit):
        plain(np.array(labels))


def test_classes_are_the_labels_of_all_parts_by_value() -> None:
    classes, (train, test) = numbered([np.array([10, 9]), np.array([2, 10])], None)
    assert classes == ("2", "9", "10")
    assert (train.tolist(), test.tolist()) == ([2, 1], [0, 2])


def test_numbers_of_one_part_and_text_of_another_are_the_same_classes() -> None:
    classes, (train, test) = numbered([np.array([0, 1]), np.array(["1", "0"])], None)
    assert classes == ("0", "1")
    assert (train.tolist(), test.tolist()) == ([0, 1], [1, 0])


def test_names_need_a_label_each() -> None:
    classes, (labels,) = numbered([np.array([1, 1])], ["cat", "dog", "newt"])
    assert (classes, labels.tolist()) == (("cat", "dog", "newt"), [1, 1])
    with pytest.raises(Unfit, match=r"outside 0\.\.1"):
        numbered([np.array([2])], ["cat", "dog"])
