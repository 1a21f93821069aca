"""The nearest labelled images against a loop over all pairs in float64."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from episodes import datasets
from fewshot import backbones, config
from fewshot.model import nearest


def cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_the_nearest_labelled_images_are_those_of_a_loop_over_all(run: Path) -> None:
    found = nearest.nearest(run, 3, queries := [7, 301, 12], 4)
    settings = config.read(run / "config.yaml")
    backbone = backbones.build(config.BackboneSettings(**settings["backbone"])).eval()
    state = load_file(run / "trial-3" / "model.safetensors")
    backbone.load_state_dict(
        {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    )
    train, test = datasets.load("digits")

    def features(images: torch.Tensor) -> list[float]:
        with torch.no_grad():
            return backbone(images[None].float() / 255)[0].double().tolist()

    kept = json.loads((run / "trial-3" / "indices.json").read_text())["support"]
    support = [features(train.images[each]) for each in kept]
    centre = [sum(column) / len(kept) for column in zip(*support, strict=True)]

    def moved(row: list[float]) -> list[float]:
        return [x - m for x, m in zip(row, centre, strict=True)]

    for place, query in enumerate(queries):
        asked = moved(features(test.images[query]))
        near = sorted(
            (1 - cosine(asked, moved(row)), each) for row, each in zip(support, kept, strict=True)
        )[:4]
        assert found.images[place] == [each for _, each in near]
        assert found.distances[place] == pytest.approx([distance for distance, _ in near], abs=1e-4)
        assert found.labels[place] == [int(train.labels[each]) for _, each in near]
    assert (found.compared, found.labelled) == (40, 40)


def test_equally_near_images_come_in_their_order() -> None:
    support = torch.tensor(
        [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, -2.0]]
    )  # their mean is the origin
    order, distances = nearest.ranked(support, torch.tensor([[0.0, 5.0]]), 3)
    assert order.tolist() == [[0, 2, 1]]
    assert distances[0].tolist() == pytest.approx([0, 0, 1])
