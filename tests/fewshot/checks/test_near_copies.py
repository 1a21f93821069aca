"""Copies planted among textured pictures: made by Pillow, so the pairs are known."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from episodes import datasets
from episodes.datasets.digits import load_digits
from episodes.errors import NotHere
from fewshot.backbones.default_network import SMALL
from fewshot.checks import copy_candidates, near_copies
from fewshot.checks.inspected import Inspected
from fewshot.features import frozen
from fewshot.model import candidates
from tests.episodes.datasets.test_copies import jpeg, scenes, tensor

CLASSES = ("cat", "dog")


def inspected(pictures: np.ndarray, labels: list[int], name: str = "photos") -> Inspected:
    """Return pictures, uint8 [n, h, w, 3], as the checks read them."""
    thumbnails = tensor(
        np.stack([np.asarray(Image.fromarray(p).resize((64, 64))) for p in pictures])
    )
    features = torch.nn.functional.adaptive_avg_pool2d(thumbnails.float(), 4).flatten(1)
    return Inspected(
        data=name,
        classes=CLASSES,
        names=tuple(f"{name}/{number}.png" for number in range(len(pictures))),
        labels=torch.tensor(labels),
        thumbnails=thumbnails,
        features=features,
        sizes=torch.tensor([picture.shape[:2] for picture in pictures]),
        files=None,
        unreadable=(),
        digests=tuple(hashlib.sha256(picture).hexdigest() for picture in pictures),
    )


def summary(data: Inspected, against: Inspected | None = None) -> list[tuple[str, str, str]]:
    """Return the kind and the two names of every finding."""
    findings = near_copies.find(data, against)
    return [(one.kind, *(place.name for place in one.places)) for one in findings]


def test_copies_inside_a_data_set_are_exact_or_near_or_of_two_classes():
    pictures = scenes(30)
    copies = np.stack([pictures[3], jpeg(pictures[5], 70), pictures[7]])
    labels = [number % 2 for number in range(30)]
    data = inspected(np.concatenate([pictures, copies]), [*labels, 1, 1, 0])
    assert summary(data) == [
        ("exact copy", "photos/30.png", "photos/3.png"),
        ("near copy", "photos/31.png", "photos/5.png"),
        ("same image in two classes", "photos/32.png", "photos/7.png"),
    ]


def test_the_training_image_is_the_one_to_remove():
    pictures = scenes(30)
    train = inspected(pictures[:20], [0, 1] * 10)
    test = inspected(np.stack([*pictures[20:], jpeg(pictures[4], 70)]), [0] * 11, "test")
    assert summary(train, test) == [("copy in the test set", "photos/4.png", "test/10.png")]
    assert summary(train) == []


def test_every_copy_of_a_test_image_is_one_to_remove():
    pictures = scenes(20)
    train = inspected(np.concatenate([pictures, pictures[[3, 3, 3]]]), [0] * 23)
    test = inspected(pictures[[3]], [0], "test")
    numbers = (3, 20, 21, 22)
    assert sorted(summary(train, test)) == [
        ("copy in the test set", f"photos/{number}.png", "test/0.png")
        for number in sorted(numbers, key=str)
    ]


def test_one_image_of_a_group_of_copies_stays():
    pictures = scenes(20)
    data = inspected(np.concatenate([pictures, pictures[[2, 2, 2]]]), [0] * 23)
    findings = near_copies.find(data)
    assert sorted(one.places[0].position for one in findings) == [20, 21, 22]
    assert {one.places[1].position for one in findings} == {2}


def mirrored(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture[:, ::-1])


def cropped(picture: np.ndarray) -> np.ndarray:
    """Return what is left without a tenth of the width and of the height, at the old size."""
    side = len(picture)
    part = Image.fromarray(picture).crop((0, side // 20, side * 9 // 10, side * 19 // 20))
    return np.asarray(part.resize((side, side), Image.Resampling.BICUBIC))


def brighter(picture: np.ndarray) -> np.ndarray:
    return (picture * 0.8 + 50).clip(0, 255).astype(np.uint8)


CHANGES = {
    "JPEG 70": lambda picture: jpeg(picture, 70),
    "half the size": lambda picture: jpeg(picture, 90, len(picture) // 2),
    "mirrored": mirrored,
    "cropped": cropped,
    "brighter": brighter,
    "all of these": lambda picture: brighter(cropped(mirrored(jpeg(picture, 70)))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else(change: str):
    pictures = scenes(60)
    copies = np.stack([CHANGES[change](picture) for picture in pictures[:20]])
    data = inspected(np.concatenate([pictures, copies]), [0] * 80)
    pairs = [[place.position for place in one.places] for one in near_copies.find(data)]
    assert pairs == [[60 + number, number] for number in range(20)]


def test_frames_around_pictures_make_no_copies():
    pictures = np.full((30, 96, 96, 3), 255, dtype=np.uint8)
    pictures[:, 6:-6, 6:-6] = 0
    pictures[:, 10:-10, 10:-10] = scenes(30, 76) // 3 + 80
    assert summary(inspected(pictures, [0] * 30)) == []


def test_photos_of_a_fixed_camera_are_no_copies():
    scene, objects = scenes(1)[0], scenes(40, 16, seed=5)
    pictures = np.repeat(scene[None].astype(float), 40, axis=0)
    pictures[:, 40:56, 40:56] = objects
    noise = np.random.default_rng(1).normal(0, 6, pictures.shape)
    pictures = (pictures + noise).clip(0, 255).astype(np.uint8)
    assert summary(inspected(pictures, [0] * 40)) == []


def test_digits_are_no_copies():
    digits = load_digits(32).train
    pictures = digits.images[:200].permute(0, 2, 3, 1).contiguous().numpy()
    findings = near_copies.find(inspected(pictures, [0] * 200))
    assert len([one for one in findings if one.kind == "near copy"]) <= 2


def test_no_images_and_one_image_have_no_copies():
    assert summary(inspected(scenes(1), [0])) == []


def test_a_long_search_is_announced(monkeypatch, caplog):
    data = inspected(scenes(6), [0] * 6)
    with caplog.at_level(logging.WARNING, "fewshot"):
        near_copies.find(data)
        assert caplog.messages == []
        monkeypatch.setattr(near_copies, "PAIRS_PER_SECOND", 6 * 8 / 60 / 25)
        near_copies.find(data, inspected(scenes(2, seed=3), [0] * 2, "test"))
    (message,) = caplog.messages
    assert message.startswith("searching 8 images for copies takes about 25 minutes")


def test_many_images_are_compared_with_their_neighbours_alone(monkeypatch, caplog):
    pictures = scenes(30)
    copies = np.stack([pictures[3], jpeg(pictures[5], 70)])
    data = inspected(np.concatenate([pictures, copies]), [number % 2 for number in range(32)])
    test = inspected(np.stack([pictures[9], scenes(1, seed=4)[0]]), [1, 0], "test")
    expected = summary(data, test)
    assert len(expected) == 3
    monkeypatch.setattr(near_copies, "LARGEST", 33)
    monkeypatch.setattr(copy_candidates, "candidates", None)  # an error if it is called
    with caplog.at_level(logging.WARNING, "fewshot"):
        assert summary(data, test) == expected
    (message,) = caplog.messages
    assert message.startswith("34 images are too many to compare each with every other")


@pytest.mark.slow
def test_listed_copies_of_cifar10_are_found():
    """The half of the list of ciFAIR that chose no threshold, among other random images."""
    try:
        train, test = datasets.load("cifar10")
    except NotHere as error:
        pytest.skip(f"cifar10 is not here: {error}")
    assert test is not None
    listed = json.loads(Path(__file__).with_name("cifar10_copies.json").read_text())
    near = [row for row in listed["test and training"][1::2] if row[-1] == "near"]
    random = torch.Generator().manual_seed(0)
    parts = []
    for number, images in enumerate((test, train)):
        in_class = [(images.labels == label).nonzero()[:, 0] for label in range(10)]
        named = [(row[2 * number], row[2 * number + 1]) for row in near]
        rows = torch.stack([in_class[images.classes.index(name)][rank] for name, rank in named])
        others = torch.randperm(len(images), generator=random)[:2000]
        chosen = torch.cat([rows, others[~torch.isin(others, rows)]])
        pictures = images.images[chosen].permute(0, 2, 3, 1).contiguous().numpy()
        part = inspected(pictures, images.labels[chosen].tolist())
        features = frozen.extract(candidates.build(SMALL, "cpu"), images, chosen, "cpu")
        parts.append(
            part._replace(
                classes=images.classes, features=features, thumbnails=images.images[chosen]
            )
        )
    pairs = set(map(tuple, near_copies.links(parts[::-1]).pairs.tolist()))
    n_train = len(parts[1].labels)
    n_right = sum((one, n_train + one) in pairs for one in range(len(near)))
    assert len(near) == 129
    assert n_right / len(near) >= 0.9
