"""Copies planted among textured pictures: made by Pillow, so the pairs are known."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from fewshot.checks import near_copies
from fewshot.checks.inspected import Inspected
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


def test_one_image_of_a_group_of_copies_stays():
    pictures = scenes(20)
    data = inspected(np.concatenate([pictures, pictures[[2, 2, 2]]]), [0] * 23)
    findings = near_copies.find(data)
    assert sorted(one.places[0].position for one in findings) == [20, 21, 22]
    assert {one.places[1].position for one in findings} == {2}


def test_no_images_and_one_image_have_no_copies():
    assert summary(inspected(scenes(1), [0])) == []
