"""The pool of tasks against the images of the data set, selected one by one."""

from __future__ import annotations

from pathlib import Path

import torch

from episodes import datasets, streams
from fewshot import backbones
from fewshot.runs.episodic.pool import Pool
from tests.fewshot.runs.episodic.quick import N_CLASSES, N_TEST, N_TRAIN


def test_images_are_those_of_the_classes_training_images_first(colours: Path):
    data = datasets.load(str(colours))
    names = ("class-7", "class-2")
    pool = Pool.of(data, names)
    assert pool.classes == ("class-2", "class-7")  # in the order of the data
    expected, labels = [], []
    for part in data:
        for image, label in zip(part.images, part.labels, strict=True):
            name = part.classes[label]
            if name in names:
                expected.append(image)
                labels.append(pool.classes.index(name))
    assert len(pool) == len(expected) == 2 * (N_TRAIN + N_TEST)
    assert pool.labels.tolist() == labels
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(0))
    loaded = pool.load(order, "cpu")
    assert torch.equal(loaded, torch.stack(expected)[order].float() / 255)
    images = pool.image_set()
    assert torch.equal(images.images, torch.stack(expected))
    assert torch.equal(images.labels, pool.labels)
    assert images.classes == pool.classes


def test_features_are_those_of_the_images(colours: Path):
    pool = Pool.of(datasets.load(str(colours)), ("class-1", "class-3", "class-9"))
    backbone = backbones.build("conv4", options={"width": 4, "norm": "group"}).eval()
    features, seconds = pool.features(backbone, "cpu")
    with torch.no_grad():
        expected = backbone(streams.as_float(pool.image_set().images))
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    assert type(features) is torch.Tensor
    assert seconds is not None
    assert seconds > 0
    again, same = pool.features(backbone, "cpu")  # from the cache
    assert torch.equal(again, features)
    assert same == seconds


def test_the_fingerprint_is_of_images_and_classes(colours: Path):
    data = datasets.load(str(colours))
    everything = Pool.of(data)
    assert len(everything) == N_CLASSES * (N_TRAIN + N_TEST)
    assert everything.fingerprint == Pool.of(data, data.train.classes).fingerprint
    assert everything.fingerprint != Pool.of(data, data.train.classes[:5]).fingerprint
