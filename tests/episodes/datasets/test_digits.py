"""Oracle: scikit-learn's digits, located again by a nearest-neighbour search."""

import numpy as np
import torch
from sklearn.datasets import load_digits as load_from_sklearn
from sklearn.neighbors import KNeighborsClassifier

from episodes.datasets.digits import load_digits


def test_sizes_types_and_names() -> None:
    train, test = load_digits()
    assert (len(train), len(test)) == (1297, 500)
    assert torch.bincount(test.labels).tolist() == [50] * 10
    assert train.images.shape == (1297, 3, 32, 32)
    assert train.images.dtype == torch.uint8
    assert not train.mirror
    assert train.classes == tuple("0123456789")
    assert load_digits(16).test.images.shape == (500, 3, 16, 16)


def test_the_images_are_those_of_scikit_learn_with_their_labels() -> None:
    train, test = load_digits()
    assert int(train.images.max()) == 255
    bunch = load_from_sklearn()
    # The mean of a block of 4x4 pixels is the original pixel, up to interpolation.
    images = torch.cat([train.images, test.images]).float()[:, 0]
    images = images.reshape(-1, 8, 4, 8, 4).mean((2, 4)) / 255 * 16
    search = KNeighborsClassifier(1).fit(bunch.data, bunch.target)
    nearest = search.kneighbors(images.flatten(1).numpy(), return_distance=False)[:, 0]
    labels = torch.cat([train.labels, test.labels]).numpy()
    assert (bunch.target[nearest] == labels).mean() > 0.99
    assert np.unique(nearest).size > 1700


def test_the_fingerprint_is_fixed_and_differs_between_the_parts() -> None:
    train, test = load_digits()
    assert load_digits().train.fingerprint == train.fingerprint != test.fingerprint
