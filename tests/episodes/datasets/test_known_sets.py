"""Oracles: names of public data sets, and the first labels of MNIST as its authors publish them."""

import numpy as np
import pytest

from episodes.datasets.known_sets import known_set, may_be_mirrored


@pytest.mark.parametrize(
    ("name", "mirror"),
    [
        *[
            (name, False)
            for name in ("mnist", "MNIST", "emnist-letters", "KMNIST", "train_32x32.mat")
        ],
        *[
            (name, False)
            for name in ("SVHN", "GTSRB", "USPS", "my digits", "sign_language", "notMNIST")
        ],
        *[(name, True) for name in ("fashion-mnist", "FashionMNIST", "pathmnist", "BloodMNIST")],
        *[(name, True) for name in ("cifar10", "flowers", "designs", "newsletters")],
    ],
)
def test_digits_and_letters_are_not_mirrored(name: str, mirror: bool) -> None:
    assert may_be_mirrored(name) is mirror


def test_mnist_is_recognised_by_its_labels_and_others_by_name() -> None:
    first = np.array([5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5])
    known = known_set("mine", first)
    assert known is not None
    assert (known.classes[5], known.mirror) == ("5", False)
    assert known_set("mine", first[::-1]) is None
    kuzushiji = known_set("data/KMNIST/raw")
    assert kuzushiji is not None
    assert kuzushiji.classes[9] == "wo"
