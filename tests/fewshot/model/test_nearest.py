"""The nearest labelled images. Oracle: a loop over all pairs in float64."""

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
    queries = [7, 301, 12]
    neighbours = nearest.nearest(run, 3, queries, 4)
    settings = config.read(run / "config.yaml")
    backbone = backbones.build(config.BackboneSettings(**settings["backbone"])).eval()
    state = load_file(run / "trial-3" / "model.safetensors")
    prefix = "backbone."
    weights = {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
    backbone.load_state_dict(weights)
    train, test = datasets.load("digits")

    def features(images: torch.Tensor) -> list[float]:
        with torch.no_grad():
            return backbone(images[None].float() / 255)[0].double().tolist()

    indices = json.loads((run / "trial-3" / "indices.json").read_text())["support"]
    support = [features(train.images[index]) for index in indices]
    centre = [sum(column) / len(indices) for column in zip(*support, strict=True)]

    def moved(row: list[float]) -> list[float]:
        return [x - m for x, m in zip(row, centre, strict=True)]

    for position, query in enumerate(queries):
        query_features = moved(features(test.images[query]))
        distances = [1 - cosine(query_features, moved(row)) for row in support]
        near = sorted(zip(distances, indices, strict=True))[:4]
        expected = [distance for distance, _ in near]
        assert neighbours.images[position] == [index for _, index in near]
        assert neighbours.distances[position] == pytest.approx(expected, abs=1e-4)
        assert neighbours.labels[position] == [int(train.labels[index]) for _, index in near]
    assert (neighbours.compared, neighbours.labelled) == (40, 40)


def test_equally_near_images_come_in_their_order() -> None:
    # their mean is the origin
    support = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, -2.0]])
    order, distances = nearest.rank(support, torch.tensor([[0.0, 5.0]]), 3)
    assert order.tolist() == [[0, 2, 1]]
    assert distances[0].tolist() == pytest.approx([0, 0, 1])
