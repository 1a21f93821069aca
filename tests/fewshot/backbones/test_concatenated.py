"""Several networks as one: the features that each gives alone, one after the other."""

from __future__ import annotations

import pytest
import torch

from fewshot import backbones
from fewshot.backbones import Finish
from tests.fewshot.backbones.seeded_build import build

SMALL = {"options": {"width": 8, "norm": "group"}}


def networks(n: int = 2) -> list[backbones.Backbone]:
    return [build("conv4", seed, **SMALL) for seed in range(n)]


def test_features_are_those_of_the_networks_in_order() -> None:
    images = torch.rand(5, 3, 40, 40)
    parts = networks(3)
    joined = backbones.concatenate(parts).eval()
    with torch.no_grad():
        expected = torch.cat([part(images) for part in parts], 1)
        torch.testing.assert_close(joined(images), expected)
    assert joined.n_features == expected.shape[1]
    assert joined.form == f"{parts[0].form} x3"


def test_a_split_batch_gives_every_network_its_part_in_training_only() -> None:
    images = torch.rand(7, 3, 32, 32)
    first, second = networks()
    joined = backbones.concatenate([first, second], split_batch=True)
    with torch.no_grad():
        expected = torch.cat([first(images[:3]), second(images[3:6])], 1)  # the seventh is dropped
        torch.testing.assert_close(joined.train()(images), expected)
        whole = torch.cat([first(images), second(images)], 1)
        torch.testing.assert_close(joined.eval()(images), whole)


def test_a_stage_joins_the_stages_of_all_networks() -> None:
    joined = backbones.concatenate(networks())
    names = [name for name, _ in joined.named_parameters()]
    assert sorted(name for stage in joined.stages for name in stage) == sorted(names)
    assert len(joined.stages) == 4
    assert all(f".bodies.{n}.stages.2." in "".join(joined.stages[2]) for n in (0, 1))


@pytest.mark.parametrize("split_batch", [False, True])
def test_each_map_follows_its_own_body(split_batch: bool) -> None:
    parts = [build("mini-resnet", seed, options={"widths": [8, 12]}) for seed in range(2)]
    for seed, part in enumerate(parts):
        generator = torch.Generator().manual_seed(seed)
        shapes = [(12,), (12, 12), (8,), (8, 8)]
        part.finish = Finish(*(torch.randn(shape, generator=generator) for shape in shapes))
    images = torch.rand(4, 3, 32, 32)
    joined = backbones.concatenate(parts, split_batch).eval()
    with torch.no_grad():
        expected = torch.cat([part(images) for part in parts], 1)
        torch.testing.assert_close(joined(images), expected)
    assert joined.n_features == expected.shape[1]


def test_networks_that_use_training_images_get_them() -> None:
    images = torch.rand(8, 3, 32, 32)
    parts = [build("speed-cnn", seed) for seed in range(2)]
    alone = build("speed-cnn", 0)
    joined = backbones.concatenate(parts)
    joined.initialise(images)
    alone.initialise(images)
    filters = [body.stages[0][0].weight for body in joined.body.bodies]
    assert torch.equal(filters[0], filters[1])
    assert torch.equal(filters[0], alone.body.stages[0][0].weight)
