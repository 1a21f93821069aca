"""A classifier's network in operations that can be exported.

Oracle: the backbone itself, and interpolation of images by torch.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from fewshot import backbones
from fewshot.model import reject
from fewshot.model.onnx_network import SquareClassifier, extractor_of, resizing
from tests.fewshot.model.stored_classifier import classifier


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"views": "flip-crops", "crop": 0.8, "root": True},
        {"views": "flip-shift", "centre": True},
        {"views": "turn-zoom"},
        {"input_size": 48, "views": "flip-crop"},
    ],
)
@pytest.mark.parametrize("side", [32, 50])
def test_features_are_those_of_the_backbone(settings: dict[str, Any], side: int):
    torch.manual_seed(0)
    backbone = backbones.build("conv4", options={"width": 4}, **settings).eval()
    images = torch.rand(3, 3, side, side)
    with torch.no_grad():
        difference = extractor_of(backbone, side)(images) - backbone(images)
    assert difference.abs().max() < 1e-6


def test_shipped_and_joined_networks():
    torch.manual_seed(0)
    conv4 = {"name": "conv4", "options": {"width": 4}, "views": "flip"}
    backbone = backbones.build("mini-resnet", weights="pretrained", beside=[conv4]).eval()
    images = torch.rand(2, 3, 40, 40)
    with torch.no_grad():
        difference = extractor_of(backbone, 40)(images) - backbone(images)
    assert difference.abs().max() < 1e-6


@pytest.mark.parametrize(("before", "after"), [(64, 32), (50, 32), (20, 32), (7, 3)])
def test_resizing_is_antialiased_interpolation(before: int, after: int):
    images, matrix = torch.rand(2, 3, before, before), resizing(before, after)
    expected = F.interpolate(images, (after, after), mode="bilinear", antialias=True)
    assert torch.allclose(matrix @ images @ matrix.T, expected, atol=1e-6)


def test_answers():
    model = classifier()
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        probabilities, known, are_refused = SquareClassifier(model)(pixels / 255)
    features = model.features(pixels)
    expected = reject.known_scores(model.rejection, features)
    assert torch.allclose(probabilities, model.log_probabilities(features).exp(), atol=1e-6)
    assert torch.allclose(known, expected, atol=1e-6)
    assert torch.equal(are_refused, expected < model.rejection.threshold)
