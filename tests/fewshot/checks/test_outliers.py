"""Images of no class. Oracles: foreign images that the test plants; a loop that leaves one out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fewshot.checks import outliers
from tests.fewshot.checks.clusters_of_features import data_set


def test_foreign_images_are_found_first():
    data = data_set(40)
    features = data.features.clone()
    foreign = [3, 50, 90, 150]
    features[foreign] = torch.eye(16)[[8, 9, 10, 11]] + 0.1
    findings = outliers.find(data._replace(features=features))
    assert {one.places[0].position for one in findings[:4]} == set(foreign)
    assert findings[0].words.endswith("looks like no class")
    assert len(findings) < 12


@pytest.mark.parametrize("seed", range(3))
def test_few_ordinary_images_are_found(seed: int):
    assert len(outliers.find(data_set(40, seed))) <= 0.05 * 160


@pytest.mark.parametrize("chunk", [7, 1000])
def test_the_known_score_is_that_of_a_loop_that_leaves_one_out(monkeypatch, chunk: int):
    monkeypatch.setattr(outliers, "CHUNK", chunk)
    data = data_set(6, spread=0.5)
    scores, positions = outliers.known_scores(data.features, data.labels)
    assert positions.tolist() == list(range(24))
    centre = torch.stack([data.features[data.labels == way].mean(0) for way in range(4)]).mean(0)
    unit = F.normalize(data.features - centre, dim=1)

    def score(index: int) -> Tensor:
        cosines = []
        for way in range(4):
            members = (data.labels == way).nonzero()[:, 0]
            length = unit[members].mean(0).norm()
            others = members[members != index]
            cosines.append(unit[index] @ unit[others].mean(0) / length)
        return torch.stack(cosines).max()

    expected = torch.stack([score(index) for index in range(24)]).clamp(-1, 1)
    torch.testing.assert_close(scores, expected)


def test_too_few_images_classes_or_features_find_nothing():
    data = data_set(40)
    assert outliers.find(data_set(4)) == []
    assert outliers.find(data._replace(labels=data.labels % 2)) == []
    assert outliers.find(data._replace(features=torch.empty(160, 0))) == []
    assert outliers.find(data._replace(features=torch.ones(160, 16))) == []
