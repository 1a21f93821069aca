"""Oracles: sets of shapes that the test makes, their names, and numpy's rotation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from episodes import datasets, streams
from fewshot.config import BackboneSettings, MethodConfig, Train
from fewshot.errors import UserError
from fewshot.runs import base_sets


def settings_of(train: Train | None, **more: Any) -> MethodConfig:
    more.setdefault("backbone", BackboneSettings(name="conv4"))
    return MethodConfig(method="protonet", data="digits", train=train, **more)


def test_base_sets_are_decoded_for_the_network_of_the_run(tmp_path: Path) -> None:
    for number in range(8):
        place = tmp_path / "photos" / f"class {number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300 + number, 280), (30 * number, 0, 0)).save(place / f"{number}.png")
    train = Train(base=str(tmp_path / "photos"), steps=1)
    expected: list[tuple[dict[str, Any], int]] = [
        ({}, 64),
        ({"backbone": BackboneSettings(name="resnet18")}, 224),
        ({"backbone": BackboneSettings(name="resnet18", views="flip-crop")}, 256),
        ({"image_size": 40}, 40),
    ]
    for more, side in expected:
        (base,) = base_sets.load(settings_of(train, **more))
        assert base.images.shape[2:] == (side, side)


def test_turned_images_of_a_base_set_are_further_classes() -> None:
    plain = datasets.load("digits").train
    (base,) = base_sets.load(settings_of(Train(base="digits", steps=1, turned_classes=True)))
    assert len(base.classes) == 4 * len(plain.classes)
    last = base.images[3 * len(plain)]
    np.testing.assert_array_equal(last, np.rot90(plain.images[0].numpy(), 3, (1, 2)))
    (same,) = base_sets.load(settings_of(Train(base="digits", steps=1)))
    assert same.fingerprint == plain.fingerprint != base.fingerprint
    assert base_sets.load(settings_of(None)) == base_sets.load(settings_of(Train(steps=1))) == ()


@pytest.mark.parametrize("settings", [{"turned_classes": True}, {"within_superclass": 0.5}])
def test_settings_of_base_sets_need_one(settings: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"meta-training: set train\.base"):
        base_sets.load(settings_of(Train.model_validate({"steps": 1, **settings})))


def test_a_base_set_without_superclasses_has_no_episode_within_one() -> None:
    base, train = datasets.load("digits").train, Train(steps=1, within_superclass=0.5)
    assert base_sets.prepared(replace(base, groups={"all": base.classes}), train) is not None
    with pytest.raises(UserError, match=r"with superclasses, and digits has none"):
        base_sets.prepared(replace(base, groups={}), train)


def test_the_pools_of_a_union_have_their_own_labels_and_superclasses() -> None:
    first = datasets.load("digits").train
    second = replace(first, groups={"all": first.classes})
    union = base_sets.union((first, second))
    pool = streams.pool(union, torch.arange(len(union)), "cpu")
    parts = list(base_sets.divided(pool, (first, second)))
    assert [part.n_classes for part in parts] == [10, 10]
    for part, base in zip(parts, (first, second), strict=True):
        assert torch.equal(part.labels, base.labels)
        names = [{base.classes[i] for i in members} for members in part.superclasses]
        assert names == [set(members) for members in base.groups.values()]
